package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A kind of request: what is sent, and how long the page sleeps over it.
type kind struct {
	name      string
	method    string
	sleepMs   int
	answerLen int // bytes of padding in the answer
	keepAlive bool
}

const bodyLen = 1024 // of a POST

var kinds = []kind{
	{name: "get", method: "GET", keepAlive: true},
	{name: "get-300", method: "GET", sleepMs: 300, keepAlive: true},
	{name: "get-close", method: "GET"},
	{name: "get-large", method: "GET", answerLen: 500_000, keepAlive: true},
	{name: "post", method: "POST", keepAlive: true},
	{name: "post-300", method: "POST", sleepMs: 300, keepAlive: true},
	{name: "post-1000", method: "POST", sleepMs: 1000, keepAlive: true},
	{name: "post-close", method: "POST"},
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, " ")
}

func findKind(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("there is no kind %q; known: %s", name, kindNames())
}

// parseMix turns "get=2,post=1" into a round in which each kind comes as often as its weight, evenly spread.
func parseMix(text string) ([]kind, error) {
	type share struct {
		kind            kind
		weight, current int
	}
	var shares []share
	total := 0
	for _, part := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		k, err := findKind(name)
		if err != nil {
			return nil, err
		}
		weight, err := strconv.Atoi(number)
		if err != nil || weight < 1 || weight > 1000 {
			return nil, fmt.Errorf("%q wants a weight of 1 to 1000", part)
		}
		shares = append(shares, share{kind: k, weight: weight})
		total += weight
	}
	var order []kind
	for len(order) < total { // smooth weighted round robin
		best := 0
		for i := range shares {
			shares[i].current += shares[i].weight
			if shares[i].current > shares[best].current {
				best = i
			}
		}
		shares[best].current -= total
		order = append(order, shares[best].kind)
	}
	return order, nil
}
