package mqtttest

import (
	"errors"
	"net"
	"sync"
)

// ErrCut is what a Meddler's reads and writes end with after its cut.
var ErrCut = errors.New("mqtttest: the connection was cut")

// Meddler is a connection that misbehaves as told. Set its fields before use.
type Meddler struct {
	net.Conn

	Slice    int                 // a read returns at most as many bytes; 0: no limit
	CutRead  int                 // after as many bytes read the connection is cut; 0: never
	CutWrite int                 // after as many bytes written, within a write too; 0: never
	OnWrite  func([]byte) []byte // changes what is written, a copy of its own; nil: nothing

	mu            sync.Mutex
	read, written int
}

// Read implements net.Conn.
func (m *Meddler) Read(p []byte) (int, error) {
	m.mu.Lock()
	if m.Slice > 0 && len(p) > m.Slice {
		p = p[:m.Slice]
	}
	if m.CutRead > 0 {
		if m.read >= m.CutRead {
			m.mu.Unlock()
			return 0, m.cut()
		}
		p = p[:min(len(p), m.CutRead-m.read)]
	}
	m.mu.Unlock()
	n, err := m.Conn.Read(p)
	m.mu.Lock()
	m.read += n
	m.mu.Unlock()
	return n, err
}

// Write implements net.Conn.
func (m *Meddler) Write(p []byte) (int, error) {
	b := p
	if m.OnWrite != nil {
		b = m.OnWrite(append([]byte(nil), p...))
	}
	m.mu.Lock()
	cut := m.CutWrite > 0 && m.written+len(b) > m.CutWrite
	if cut {
		b = b[:max(0, m.CutWrite-m.written)]
	}
	m.written += len(b)
	m.mu.Unlock()
	n, err := m.Conn.Write(b)
	switch {
	case err != nil:
		return min(n, len(p)), err
	case cut:
		return min(n, len(p)), m.cut()
	}
	return len(p), nil
}

func (m *Meddler) cut() error {
	_ = m.Conn.Close()
	return ErrCut
}
