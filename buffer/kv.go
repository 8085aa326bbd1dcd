package buffer

import "fmt"

// Get reads a small setting.
func (s *State) Get(key string) (value []byte, ok bool, err error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.mu.Lock()
	all := append(append([]*change(nil), s.stuck...), s.batch...)
	for _, c := range all {
		if c.kind == putKV && c.key == key {
			value, ok = c.value, true
		}
	}
	s.mu.Unlock()
	if ok {
		return value, value != nil, nil
	}
	err = s.db.queryLocked("SELECT v FROM kv WHERE k = ?", func(scan func(...any) error) error {
		ok = true
		return scan(&value)
	}, key)
	if err != nil {
		return nil, false, fmt.Errorf("read setting %s: %w", key, err)
	}
	return value, ok, nil
}

// Put stores a small setting with the next commit (within a second); a nil
// value removes it.
func (s *State) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.addLocked(&change{kind: putKV, key: key, value: value, size: len(key) + len(value)}, nil)
	return nil
}

// Get reads a small setting of the gateway, as what was learnt of a device.
func (b *Buffer) Get(key string) (value []byte, ok bool, err error) { return b.state.Get("s:" + key) }

// Put stores a small setting with the next commit; nil removes it.
func (b *Buffer) Put(key string, value []byte) error { return b.state.Put("s:"+key, value) }
