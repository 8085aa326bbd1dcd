package session

// IDs gives out packet ids, 1 to 65535. One end of a connection uses one IDs
// for its PUBLISH, SUBSCRIBE and UNSUBSCRIBE together [MQTT-2.2.1-3]; the ids
// that the peer chooses are another set, and may be equal.
// The zero value is ready for use.
type IDs struct {
	last uint16
	used map[uint16]struct{}
}

// Take returns an id that is not in use. It goes round, so that an id rests
// for long after its use: a late answer then finds nothing. ok is false where
// all are in use.
func (s *IDs) Take() (id uint16, ok bool) {
	if len(s.used) == 0xFFFF {
		return 0, false
	}
	for {
		s.last++
		if _, used := s.used[s.last]; s.last != 0 && !used {
			break
		}
	}
	if s.used == nil {
		s.used = map[uint16]struct{}{}
	}
	s.used[s.last] = struct{}{}
	return s.last, true
}

// Free gives an id back.
func (s *IDs) Free(id uint16) { delete(s.used, id) }

// Len is the number of ids in use.
func (s *IDs) Len() int { return len(s.used) }
