package broker

// ring is a queue in an array that is used round and round. Its zero value is
// empty. It is for the owner's goroutine or lock.
type ring[T any] struct {
	items []T // its length is a power of two
	head  int
	n     int
}

// ringKeep is the largest array that an empty ring holds on to.
const ringKeep = 32

func (r *ring[T]) len() int { return r.n }

// at is the place of the i-th item from the front.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

// push adds an item at the end.
func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		larger := make([]T, max(8, 2*len(r.items)))
		for i := range r.n {
			larger[i] = *r.at(i)
		}
		r.items, r.head = larger, 0
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = v
	r.n++
}

// remove takes out the i-th item from the front.
func (r *ring[T]) remove(i int) {
	for ; i > 0; i-- {
		*r.at(i) = *r.at(i - 1)
	}
	var zero T
	*r.at(0) = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	if r.n--; r.n == 0 && len(r.items) > ringKeep {
		*r = ring[T]{}
	}
}

// reset empties the ring.
func (r *ring[T]) reset() { *r = ring[T]{} }
