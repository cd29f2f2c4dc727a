package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const maxNodeName = 64

type request struct {
	id   string
	kind kind
	due  time.Time
}

// A result is what became of a request. Without failure the whole answer came, its status was 200, and it was this request's own.
type result struct {
	request
	begun   time.Duration // how late the generator itself was
	latency time.Duration
	status  int
	failure string
	node    string
	reused  bool // went over a connection that had served before
}

// A client keeps connections alive as an ordinary HTTP library does, and uses none that has been idle for longer than the server
// allows (Keep-Alive: timeout=…): such a one may be closed just when a request is on its way. net/http's own client would not do: it sends a request
// again on another connection when a kept-alive one turns out to be closed, and so hides just the losses that are looked for.
type client struct {
	address string
	host    string
	path    string
	timeout time.Duration
	mutex   sync.Mutex
	idle    []*connection // the one used last is at the end, and taken first
}

type connection struct {
	net.Conn
	reader *bufio.Reader
	used   bool
	idleAt time.Time     // since when
	allows time.Duration // the server's word; 0: it said nothing
}

func (conn *connection) stale() bool {
	return conn.allows > 0 && time.Since(conn.idleAt) >= conn.allows
}

var errWrongAnswer = errors.New("another request's answer")

func newClient(base *url.URL, timeout time.Duration) *client {
	address := base.Host
	if base.Port() == "" {
		address = net.JoinHostPort(base.Hostname(), "80")
	}
	path := base.Path
	if path == "" {
		path = "/"
	}
	return &client{address: address, host: base.Host, path: path, timeout: timeout}
}

func (c *client) do(request request) result {
	r := result{request: request, begun: time.Since(request.due)}
	conn, err := c.take(request)
	if err != nil {
		r.failure = "connect " + name(err)
	} else {
		r.reused = conn.used
		var again bool
		if r.status, r.node, again, err = conn.exchange(c, request); err != nil {
			r.failure = name(err)
		} else if r.status != http.StatusOK {
			r.failure = fmt.Sprintf("status %d", r.status)
		}
		c.giveBack(conn, err == nil && again)
	}
	r.latency = time.Since(request.due)
	return r
}

// take returns an idle connection, or for a request that wants its own, or when none is idle, a new one.
func (c *client) take(request request) (*connection, error) {
	var conn *connection
	if request.kind.keepAlive {
		conn = c.pop()
	}
	if conn == nil {
		dialled, err := net.DialTimeout("tcp", c.address, c.timeout)
		if err != nil {
			return nil, err
		}
		conn = &connection{Conn: dialled, reader: bufio.NewReader(dialled)}
	}
	return conn, conn.SetDeadline(request.due.Add(c.timeout))
}

func (c *client) pop() *connection {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for last := len(c.idle) - 1; last >= 0; last-- {
		conn := c.idle[last]
		c.idle = c.idle[:last]
		if !conn.stale() {
			conn.used = true
			return conn
		}
		conn.Close()
	}
	return nil
}

func (c *client) giveBack(conn *connection, again bool) {
	if !again {
		conn.Close()
		return
	}
	conn.idleAt = time.Now()
	c.mutex.Lock()
	c.idle = append(c.idle, conn)
	c.mutex.Unlock()
}

// exchange returns status, node, and whether the connection may be used again.
func (conn *connection) exchange(c *client, request request) (int, string, bool, error) {
	if _, err := io.WriteString(conn, c.render(request)); err != nil {
		return 0, "", false, err
	}
	answer, err := http.ReadResponse(conn.reader, &http.Request{Method: request.kind.method})
	if err != nil {
		return 0, "", false, err
	}
	conn.allows = allowance(answer.Header.Get("Keep-Alive"))
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return answer.StatusCode, "", false, fmt.Errorf("in the answer: %w", err)
	}
	again := request.kind.keepAlive && !answer.Close
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode, "", again, nil
	}
	node, err := readPage(body, request)
	return answer.StatusCode, node, again, err
}

// allowance reads "timeout=60" or "timeout=60, max=100".
func allowance(keepAlive string) time.Duration {
	for _, word := range strings.Split(keepAlive, ",") {
		if value, found := strings.CutPrefix(strings.TrimSpace(word), "timeout="); found {
			if seconds, err := strconv.Atoi(value); err == nil {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return 0
}

func (c *client) render(request request) string {
	var text strings.Builder
	kind := request.kind
	fmt.Fprintf(&text, "%s %s?id=%s&sleep=%d&bytes=%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: svcreg-chaos\r\n",
		kind.method, c.path, request.id, kind.sleepMs, kind.answerLen, c.host)
	if !kind.keepAlive {
		text.WriteString("Connection: close\r\n")
	}
	if kind.method == "POST" {
		fmt.Fprintf(&text, "Content-Type: text/plain\r\nContent-Length: %d\r\n", bodyLen)
	}
	text.WriteString("\r\n")
	if kind.method == "POST" {
		text.WriteString(strings.Repeat("x", bodyLen))
	}
	return text.String()
}

// readPage checks an answer of src/index.php, "NODE ID BODY-LENGTH PADDING\n", and returns the node.
func readPage(body []byte, request request) (string, error) {
	words := strings.Fields(string(body))
	sent := "0"
	if request.kind.method == "POST" {
		sent = fmt.Sprint(bodyLen)
	}
	if len(words) != 4 || words[1] != request.id || words[2] != sent || len(words[3]) != request.kind.answerLen+1 {
		return "", errWrongAnswer
	}
	if len(words[0]) > maxNodeName {
		return words[0][:maxNodeName], nil
	}
	return words[0], nil
}

// name gives a failure the name it is counted under.
func name(err error) string {
	within := ""
	if strings.HasPrefix(err.Error(), "in the answer: ") {
		within = " in the answer"
	}
	switch {
	case errors.Is(err, errWrongAnswer):
		return "wrong answer"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout" + within
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset" + within
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed" + within
	}
	return strings.ReplaceAll(err.Error(), ",", ";")
}
