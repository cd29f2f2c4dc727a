// Command load sends requests at a constant rate, whatever becomes of them (open loop), and writes down each one.
//
//	load -url http://10.0.0.2/ -rate 60 -mix get=2,post=1 -run r1 -out requests.csv
//
// It runs until SIGTERM, then waits for what is in flight. A latency counts from the moment at which the request was due, so
// that a stall of the generator itself would show as well. Nothing is sent twice, and no failure is hidden by a retry.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const maxInFlight = 8192 // what is due beyond that is written down as a failure, not sent

func main() {
	log.SetFlags(0)
	target := flag.String("url", "", "where to send, http only")
	rate := flag.Float64("rate", 60, "requests a second")
	mix := flag.String("mix", "get=1", "KIND=WEIGHT,… with the kinds "+kindNames())
	run := flag.String("run", "run", "what request ids begin with")
	out := flag.String("out", "/dev/stdout", "file to write, CSV")
	timeout := flag.Duration("timeout", 30*time.Second, "longest wait for one whole answer")
	flag.Parse()

	order, err := parseMix(*mix)
	if err != nil {
		log.Fatal(err)
	}
	base, err := url.Parse(*target)
	if err != nil || base.Scheme != "http" || *rate <= 0 {
		log.Fatal("usage: load -url http://HOST[:PORT]/ -rate R [-mix …] [-run ID] [-out FILE] [-timeout T]")
	}
	file, err := os.Create(*out)
	if err != nil {
		log.Fatal(err)
	}
	results := make(chan result, maxInFlight)
	written := make(chan struct{})
	go write(file, results, written)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	fmt.Fprintln(os.Stderr, "ready")
	shoot(newClient(base, *timeout), order, *rate, *run, stop, results)
	close(results)
	<-written
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// shoot starts a request each 1/rate s until something arrives on stop; all have ended when it returns.
func shoot(client *client, order []kind, rate float64, run string, stop <-chan os.Signal, results chan<- result) {
	var inFlight int64
	var pending sync.WaitGroup
	interval := time.Duration(float64(time.Second) / rate)
	begin := time.Now()
	for number := 0; ; number++ {
		due := begin.Add(time.Duration(number) * interval)
		select {
		case <-stop:
			pending.Wait()
			return
		case <-time.After(time.Until(due)):
		}
		request := request{id: fmt.Sprintf("%s-%d", run, number), kind: order[number%len(order)], due: due}
		if atomic.AddInt64(&inFlight, 1) > maxInFlight {
			atomic.AddInt64(&inFlight, -1)
			results <- result{request: request, failure: "not sent: too many in flight"}
			continue
		}
		pending.Add(1)
		go func() {
			results <- client.do(request)
			atomic.AddInt64(&inFlight, -1)
			pending.Done()
		}()
	}
}

func write(file *os.File, results <-chan result, done chan<- struct{}) {
	buffer := bufio.NewWriter(file)
	fmt.Fprintln(buffer, "id,kind,idempotent,expected_ms,start_us,begun_us,latency_us,status,failure,node,reused")
	for r := range results {
		fmt.Fprintf(buffer, "%s,%s,%t,%d,%d,%d,%d,%d,%s,%s,%t\n", r.id, r.kind.name, r.kind.method == "GET", r.kind.sleepMs,
			r.due.UnixMicro(), r.begun.Microseconds(), r.latency.Microseconds(), r.status, r.failure, r.node, r.reused)
	}
	if err := buffer.Flush(); err != nil {
		log.Fatal(err)
	}
	close(done)
}
