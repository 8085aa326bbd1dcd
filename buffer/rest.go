package buffer

func (b *Buffer) noteMoved(name string) {
	b.mu.Lock()
	b.stats.moved = append(b.stats.moved, name)
	b.mu.Unlock()
}
