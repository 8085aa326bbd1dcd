package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"
)

// knocks are the doors at which people from the network knock in vain. A
// listener on loopback cannot be reached from there, and nothing in the whole
// system says why: the kernel refuses. So its port is also bound on this
// machine's other addresses, where whoever comes is sent away unread, and the
// log says what to do.
//
// Nothing is read and nothing is written there. Where another program has the
// port on such an address, it keeps it.
type knocks struct {
	b         *Broker
	addresses func() []net.IP         // of this machine, loopback left out
	open      map[string]net.Listener // by address and port; guarded by Broker.mu

	mu   sync.Mutex
	told map[string]time.Time // when an address was last told of
}

const (
	maxKnockAddresses = 16 // a machine with more has containers or bridges, not networks that people sit in
	maxKnockers       = 64 // remembered
	knockEvery        = time.Hour
	knockPause        = 10 * time.Millisecond // after each: who knocks all the time costs nothing
)

func newKnocks(b *Broker) *knocks {
	return &knocks{b: b, addresses: networkAddresses, open: map[string]net.Listener{}, told: map[string]time.Time{}}
}

// networkAddresses are the addresses by which others reach this machine.
func networkAddresses() []net.IP {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []net.IP
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(list) < maxKnockAddresses {
			list = append(list, n.IP)
		}
	}
	return list
}

// wantedLocked are the doors that there should be, with Broker.mu held: on
// every address of the network, the ports of the listeners on loopback that no
// listener on the network has. A port that the system chose is nobody's.
func (k *knocks) wantedLocked() map[string]bool {
	wanted := map[string]bool{}
	if h := k.b.config.LANHint; h != nil && !*h || !k.b.running || k.b.stopping {
		return wanted
	}
	var ports []string
	taken := map[string]bool{}
	for _, l := range k.b.listeners {
		_, port, err := net.SplitHostPort(l.bind)
		switch {
		case err != nil: // a Unix socket
		case loopback(l.bind):
			ports = append(ports, port)
		default:
			taken[port] = true
		}
	}
	for _, port := range ports {
		if n, err := strconv.Atoi(port); err != nil || n == 0 || taken[port] {
			continue
		}
		for _, ip := range k.addresses() {
			wanted[net.JoinHostPort(ip.String(), port)] = true
		}
	}
	return wanted
}

// refreshLocked opens and closes doors so that they are the wanted ones, with
// Broker.mu held: addresses come and go with cables and leases.
func (k *knocks) refreshLocked() {
	wanted := k.wantedLocked()
	for at, ln := range k.open {
		if !wanted[at] {
			ln.Close()
			delete(k.open, at)
		}
	}
	for at := range wanted {
		if k.open[at] != nil {
			continue
		}
		ln, err := net.Listen("tcp", at)
		if err != nil {
			continue // somebody else's, or an address that is just going away
		}
		k.open[at] = ln
		k.b.wg.Add(1)
		go func() {
			defer k.b.wg.Done()
			k.answer(ln)
		}()
	}
}

// refresh is refreshLocked for the housekeeping.
func (k *knocks) refresh() {
	k.b.mu.Lock()
	defer k.b.mu.Unlock()
	k.refreshLocked()
}

// closeLocked makes room for a listener of ours that wants a port.
func (k *knocks) closeLocked(bind string) {
	_, port, err := net.SplitHostPort(bind)
	if err != nil {
		return
	}
	for at, ln := range k.open {
		if _, has, err := net.SplitHostPort(at); err == nil && has == port {
			ln.Close()
			delete(k.open, at)
		}
	}
}

// answer sends away whoever comes.
func (k *knocks) answer(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			if tcp, ok := nc.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // refused, not served: a reset
			}
			from := nc.RemoteAddr()
			nc.Close()
			k.b.stats.connectsRefused.Add(1)
			k.report(ln.Addr(), from)
		}
		time.Sleep(knockPause)
	}
}

// report tells of an address once an hour.
func (k *knocks) report(at, from net.Addr) {
	host, _, err := net.SplitHostPort(from.String())
	_, port, err2 := net.SplitHostPort(at.String())
	if err != nil || err2 != nil || !k.first(host+" "+port) {
		return
	}
	k.b.tell(Event{"W0520", slog.LevelWarn, fmt.Sprintf(
		"%s tried :%s, which listens on loopback only; add a [[broker.listener]] for the network and a user (fieldgate passwd add NAME)", host, port)})
}

func (k *knocks) first(who string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if at, known := k.told[who]; known && now.Sub(at) < knockEvery {
		return false
	}
	if len(k.told) >= maxKnockers {
		for w, at := range k.told {
			if now.Sub(at) >= knockEvery {
				delete(k.told, w)
			}
		}
		if len(k.told) >= maxKnockers {
			return false // somebody scans; enough was said
		}
	}
	k.told[who] = now
	return true
}
