package conformance

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
)

// TestTwoConnectionsCanTell: a comparison that finds nothing shows something
// only if it finds what is wrong. Here our broker stands for both, and between
// one of them and its clients is somebody who makes one mistake.
func TestTwoConnectionsCanTell(t *testing.T) {
	right, behind := ourBroker(t, false), ourBroker(t, false)
	seed := uint64(100) // of its own each time: sessions stay
	for name, mistake := range map[string]func(n int, packet []byte) [][]byte{
		"a message is lost": func(n int, b []byte) [][]byte {
			if n == 3 && b[0]&6 == 0 { // of QoS 0: another would come again
				return nil
			}
			return [][]byte{b}
		},
		"a message comes twice": func(n int, b []byte) [][]byte {
			if n%4 == 3 && b[0]&6 == 0 {
				return [][]byte{b, b}
			}
			return [][]byte{b}
		},
		"the retain flag is kept": func(_ int, b []byte) [][]byte {
			b[0] |= 1
			return [][]byte{b}
		},
		"the QoS is lower": func(_ int, b []byte) [][]byte {
			if b[0]&6 == 4 {
				b[0] ^= 6 // QoS 1; the broker gets a PUBACK for its PUBREC
			}
			return [][]byte{b}
		},
		"a payload is changed": func(_ int, b []byte) [][]byte {
			if c := b[len(b)-1]; c >= '0' && c <= '9' {
				b[len(b)-1] ^= 1
			}
			return [][]byte{b}
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := meddle(t, behind, mistake)
			for last := seed + 12; seed < last; {
				for _, v := range versions {
					if twoBrokers(t, seed, v, wrong, right) != "" {
						seed = last
						return
					}
				}
				seed++
			}
			t.Error("the comparison finds nothing")
		})
	}
	t.Run("no mistake", func(t *testing.T) {
		honest := meddle(t, behind, func(_ int, b []byte) [][]byte { return [][]byte{b} })
		for range 3 {
			seed++
			for _, v := range versions {
				if diff := twoBrokers(t, seed, v, honest, right); diff != "" {
					t.Error(diff)
				}
			}
		}
	})
}

// meddle is a broker's address whose PUBLISH packets to clients go through a
// function, with their number on the connection.
func meddle(t *testing.T, broker string, change func(n int, packet []byte) [][]byte) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", broker)
			if err != nil {
				near.Close()
				continue
			}
			open.Go(func() {
				io.Copy(far, near)
				far.Close()
			})
			open.Go(func() {
				meddleWith(near, far, change)
				near.Close()
			})
		}
	})
	return ln.Addr().String()
}

// meddleWith passes on what comes from far, packet by packet.
func meddleWith(near, far net.Conn, change func(n int, packet []byte) [][]byte) {
	w := &wire{run: &run{patience: generous}, nc: far, r: bufio.NewReader(far)}
	for n := 0; ; {
		b, err := w.read()
		if err != nil {
			return
		}
		out := [][]byte{b}
		if b[0]&0xF0 == 0x30 {
			n++
			out = change(n, b)
		}
		for _, b := range out {
			if _, err := near.Write(b); err != nil {
				return
			}
		}
	}
}
