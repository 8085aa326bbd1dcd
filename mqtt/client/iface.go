package client

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// NewDialer makes TCP connections as Dial does. iface is the network interface
// that they leave by; "": the one that the routes say.
//
// MQTT has its own keep-alive; that of TCP would cost a metered link several
// times as much, and is off.
func NewDialer(iface string) *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	if iface != "" {
		d.Control = func(network, _ string, c syscall.RawConn) error { return bindTo(iface, network, c) }
	}
	return d
}

// InterfaceError says that a connection cannot leave by the interface that was
// asked for.
type InterfaceError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *InterfaceError) Error() string { return fmt.Sprintf("interface %s: %v", e.Name, e.Err) }

// Unwrap returns the cause.
func (e *InterfaceError) Unwrap() error { return e.Err }

// bindTo ties a socket to an interface. SO_BINDTODEVICE (socket(7)) makes the
// packets leave there whatever the routes say. Kernels before 5.7 want a right
// for it that the service does not have: then the interface's own address is
// the source, which is enough where the routes look at it.
func bindTo(name, network string, c syscall.RawConn) error {
	var err error
	bind := func(fd uintptr) {
		if err = unix.BindToDevice(int(fd), name); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			err = bindSource(int(fd), name, network)
		}
	}
	if control := c.Control(bind); control != nil {
		return control
	}
	if err != nil {
		return &InterfaceError{name, err}
	}
	return nil
}

var errNoAddress = errors.New("it has no address of this kind")

// bindSource makes the interface's first address the source of a socket.
func bindSource(fd int, name, network string) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	addrs, err := i.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLinkLocalUnicast() {
			continue
		}
		v4 := n.IP.To4()
		switch {
		case v4 != nil && network != "tcp6":
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(v4)})
		case v4 == nil && network == "tcp6":
			return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte(n.IP.To16())})
		}
	}
	return errNoAddress
}
