package netlab

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// echoMark makes this test program an echo server, for the far end of a cable.
const echoMark = "NETLAB_ECHO"

func TestMain(m *testing.M) {
	switch err := Missing(); {
	case os.Getenv(echoMark) != "":
		if err := echo(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	case err != nil || Owned():
		if err := Settle(); Owned() && err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		code, err := Own()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(code)
	}
}

// echo answers on port 7 of TCP and UDP.
func echo() error {
	l, err := net.Listen("tcp4", ":7")
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp4", ":7")
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], from) // the cable may be cut
		}
	}()
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c) // until the other end has enough
		}()
	}
}
