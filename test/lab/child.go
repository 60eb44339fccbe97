package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process of ours. It dies with the lab, whatever ends that.
type child struct {
	name string
	cmd  *exec.Cmd
	line chan string   // the first line of its output, if it was asked for
	done chan struct{} // closed when it has ended
	mu   sync.Mutex
	tail []string // the last lines of what it said
}

const tailLines = 30

// spawn starts a process. With firstLine its standard output is read for one line.
func spawn(name string, cmd *exec.Cmd, firstLine bool) (*child, error) {
	c := &child{name: name, cmd: cmd, line: make(chan string, 1), done: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.WaitDelay = 2 * time.Second
	out, in := io.Pipe()
	cmd.Stderr = in
	if firstLine {
		first, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		go func() {
			line, _ := bufio.NewReader(first).ReadString('\n') // without one it has ended, and done says so
			c.line <- strings.TrimSpace(line)
		}()
	} else {
		cmd.Stdout = in
	}
	go c.listen(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in what it said
		in.Close()
		close(c.done)
	}()
	return c, nil
}

func (c *child) listen(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.mu.Lock()
		if c.tail = append(c.tail, lines.Text()); len(c.tail) > tailLines {
			c.tail = c.tail[1:]
		}
		c.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line beyond all bounds
}

// said is the end of its output.
func (c *child) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.tail, "\n")
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and makes it after some seconds.
func (c *child) stop(how syscall.Signal) {
	_ = c.cmd.Process.Signal(how)
	select {
	case <-c.done:
	case <-time.After(6 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// peer finds the program of a peer.
func peer(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; the lab cannot run without it", names[0])
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// replaceFile writes a file so that nobody reads half of it.
func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
