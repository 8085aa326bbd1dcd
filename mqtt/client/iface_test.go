package client

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"fieldgate/mqtt/mqtttest"
)

// A connection leaves by the interface that was asked for, or fails with its
// name.
func TestInterface(t *testing.T) {
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) { p.Accept(nil); p.Receive() })
	c := mustDial(t, Config{URL: s.URL(), ClientID: "c", Interface: "lo"})
	_ = c.Close()
	_, err := Dial(t.Context(), Config{URL: s.URL(), Interface: "fg-none0"})
	iface, ok := errors.AsType[*InterfaceError](err)
	if dial, is := errors.AsType[*DialError](err); !ok || !is || iface.Name != "fg-none0" || dial.Step != StepTCP {
		t.Errorf("an interface that is not there: %v", err)
	}
	s.Wait()
}

// Without the right to bind to the interface its address is the source.
func TestInterfaceSource(t *testing.T) {
	for network, want := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"} {
		domain := unix.AF_INET
		if network == "tcp6" {
			domain = unix.AF_INET6
		}
		fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
		if err != nil {
			continue // a machine without IPv6
		}
		defer unix.Close(fd)
		err = bindSource(fd, "lo", network)
		if errors.Is(err, errNoAddress) && network == "tcp6" {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		var got net.IP
		switch a := name.(type) {
		case *unix.SockaddrInet4:
			got = a.Addr[:]
		case *unix.SockaddrInet6:
			got = a.Addr[:]
		}
		if got.String() != want {
			t.Errorf("%s: the source is %s", network, got)
		}
	}
	if err := bindSource(-1, "fg-none0", "tcp4"); err == nil {
		t.Error("an interface that is not there")
	}
}
