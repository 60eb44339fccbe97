package main

import (
	"context"
	"io"
	"net"
	"time"
)

// line is a network between two services: everything that passes takes delay longer, each way.
type line struct {
	listener net.Listener
	to       string
	delay    time.Duration
}

func openLine(ctx context.Context, to string, delay time.Duration) (*line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &line{listener: l, to: to, delay: delay}
	go n.accept(ctx)
	return n, nil
}

func (n *line) address() string { return n.listener.Addr().String() }

func (n *line) accept(ctx context.Context) {
	context.AfterFunc(ctx, func() { n.listener.Close() })
	for {
		near, err := n.listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer near.Close()
			far, err := net.Dial("tcp", n.to)
			if err != nil {
				return
			}
			defer far.Close()
			stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			defer stop()
			go n.carry(near, far)
			n.carry(far, near)
		}()
	}
}

// carry copies what arrives, late. Requests are small: each read is one packet.
func (n *line) carry(to, from net.Conn) {
	defer to.Close()
	type packet struct {
		due  time.Time
		data []byte
	}
	sent := make(chan packet, 256)
	go func() {
		defer close(sent)
		for {
			b := make([]byte, 16<<10)
			k, err := from.Read(b)
			if k > 0 {
				sent <- packet{time.Now().Add(n.delay), b[:k]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range sent {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			_, _ = io.Copy(io.Discard, from) // so that the reader ends
		}
	}
}
