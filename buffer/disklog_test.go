package buffer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// The model of a disk that loses power. It knows nothing of where its log of
// operations comes from: a list of what a process asked the kernel for, in the
// order in which it was answered, and of what the process promised meanwhile.

type opKind uint8

const (
	opMark       opKind = iota // name: what the process said at this moment
	opCreate                   // file got the name
	opMkdir                    // name
	opWrite                    // data at off of file
	opTruncate                 // file to size off; also allocates
	opSync                     // file
	opSyncDir                  // name: the entries of a directory
	opUnlink                   // name
	opRename                   // name to to
	opRead                     // file at off; not kept in a log
	opSyncFailed               // file: its writes since the last fsync are lost, though readers see them
)

// diskOp is one operation. Names are relative to the top of the disk.
type diskOp struct {
	kind     opKind
	file     int
	name, to string
	off      int64
	data     []byte
}

func (o diskOp) String() string {
	kind := [...]string{"mark", "create", "mkdir", "write", "truncate", "fsync", "fsync of directory", "unlink", "rename", "read", "failed fsync"}[o.kind]
	return fmt.Sprintf("%s %s%s file %d at %d, %d bytes", kind, o.name, o.to, o.file, o.off, len(o.data))
}

// entries are the names of a disk and the number of the file behind each; a
// directory has the number 0.
type entries map[string]int

func (e entries) apply(o diskOp) {
	switch o.kind {
	case opCreate:
		e[o.name] = o.file
	case opMkdir:
		e[o.name] = 0
	case opUnlink:
		delete(e, o.name)
	case opRename:
		if f, ok := e[o.name]; ok {
			delete(e, o.name)
			e[o.to] = f
		}
	}
}

// platter is what certainly lies on the disk, and what was asked for since and
// may lie on it or not.
type platter struct {
	names    entries
	namesNew []diskOp // creations, unlinks, renames that no fsync of their directory followed
	files    map[int][]byte
	filesNew map[int][]diskOp // writes and truncations that no fsync of their file followed
}

func newPlatter() *platter {
	return &platter{names: entries{}, files: map[int][]byte{}, filesNew: map[int][]diskOp{}}
}

// do adds an operation. lying says that this fsync is answered and not done.
func (p *platter) do(o diskOp, lying bool) {
	switch o.kind {
	case opCreate, opMkdir, opUnlink, opRename:
		p.namesNew = append(p.namesNew, o)
	case opWrite, opTruncate:
		p.filesNew[o.file] = append(p.filesNew[o.file], o)
	case opSync:
		if !lying {
			for _, w := range p.filesNew[o.file] {
				p.files[o.file] = put(p.files[o.file], w)
			}
			delete(p.filesNew, o.file)
		}
	case opSyncDir:
		if !lying {
			p.syncNames(o.name)
		}
	case opSyncFailed: // the kernel takes the pages for clean, and does not try again
		delete(p.filesNew, o.file)
	}
}

// syncNames makes the entries of one directory certain.
func (p *platter) syncNames(dir string) {
	kept := p.namesNew[:0]
	for _, o := range p.namesNew {
		if path.Dir(o.name) == dir {
			p.names.apply(o)
		} else {
			kept = append(kept, o)
		}
	}
	p.namesNew = kept
}

// put applies a write or a truncation to the content of a file.
func put(content []byte, o diskOp) []byte {
	end := o.off
	if o.kind == opWrite {
		end += int64(len(o.data))
	}
	if o.kind == opTruncate && end < int64(len(content)) {
		return content[:end:end]
	}
	if n := end - int64(len(content)); n > 0 {
		content = append(content, make([]byte, n)...)
	}
	copy(content[o.off:], o.data)
	return content
}

// fate decides what became of what was not certain when the power went.
type fate struct {
	name  string
	write func(rnd *rand.Rand, all []diskOp) []diskOp // those that were done, in the order in which they were
	names func(rnd *rand.Rand, all []diskOp) []diskOp
}

func nothing(*rand.Rand, []diskOp) []diskOp          { return nil }
func everything(_ *rand.Rand, all []diskOp) []diskOp { return all }
func someOf(rnd *rand.Rand, all []diskOp) []diskOp {
	return pick(all, func() bool { return rnd.IntN(2) == 0 })
}
func begin(rnd *rand.Rand, all []diskOp) []diskOp      { return all[:rnd.IntN(len(all)+1)] }
func end(rnd *rand.Rand, all []diskOp) []diskOp        { return all[rnd.IntN(len(all)+1):] }
func torn512(rnd *rand.Rand, all []diskOp) []diskOp    { return tear(rnd, all, 512) }
func torn4096(rnd *rand.Rand, all []diskOp) []diskOp   { return tear(rnd, all, 4096) }
func allButOne(rnd *rand.Rand, all []diskOp) []diskOp  { return without(all, rnd.IntN(len(all)+1)) }
func sizesOnly(_ *rand.Rand, all []diskOp) []diskOp    { return emptied(all) }
func otherOrder(rnd *rand.Rand, all []diskOp) []diskOp { return shuffled(rnd, all) }

func pick(all []diskOp, keep func() bool) (out []diskOp) {
	for _, o := range all {
		if keep() {
			out = append(out, o)
		}
	}
	return out
}

func without(all []diskOp, i int) []diskOp {
	if i >= len(all) {
		return all
	}
	return slices.Concat(all[:i], all[i+1:])
}

// emptied is a file system that notes sizes before contents: what a file grew
// by is zero.
func emptied(all []diskOp) (out []diskOp) {
	for _, o := range all {
		if o.kind == opWrite {
			o.off, o.data = o.off+int64(len(o.data)), nil
		}
		out = append(out, o)
	}
	return out
}

// shuffled does some of the operations in another order, as a disk with a
// cache does.
func shuffled(rnd *rand.Rand, all []diskOp) []diskOp {
	out := someOf(rnd, all)
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// tear does each write sector by sector, and only some of the sectors. A
// sector is one of the disk, not of the write.
func tear(rnd *rand.Rand, all []diskOp, sector int64) (out []diskOp) {
	for _, o := range all {
		if o.kind != opWrite {
			if rnd.IntN(2) == 0 {
				out = append(out, o)
			}
			continue
		}
		for at := int64(0); at < int64(len(o.data)); {
			n := min(sector-(o.off+at)%sector, int64(len(o.data))-at)
			if rnd.IntN(3) > 0 {
				out = append(out, diskOp{kind: opWrite, file: o.file, off: o.off + at, data: o.data[at : at+n]})
			}
			at += n
		}
	}
	return out
}

// fates are the ways in which power goes away. A truncation that grows is in
// the log only where something was allocated.
var fates = []fate{
	{"nothing unsynced is there", nothing, nothing},
	{"all that was asked for is there", everything, everything},
	{"contents, not names", everything, nothing},
	{"names, not contents", nothing, everything},
	{"some of both", someOf, someOf},
	{"the first of both", begin, begin},
	{"the last of both", end, end},
	{"all writes but one", allButOne, everything},
	{"torn at 512", torn512, everything},
	{"torn at 4096", torn4096, begin},
	{"torn at 512, names lost", torn512, someOf},
	{"sizes without contents", sizesOnly, everything},
	{"in another order", otherOrder, someOf},
}

// image is a disk as it is found when power is back.
type image struct {
	names entries
	files map[int][]byte
}

// after is one of the disks that a power cut can leave.
func (p *platter) after(f fate, rnd *rand.Rand) image {
	im := image{names: maps.Clone(p.names), files: map[int][]byte{}}
	for _, o := range f.names(rnd, p.namesNew) {
		im.names.apply(o)
	}
	for _, file := range im.names {
		if file == 0 {
			continue
		}
		content := slices.Clone(p.files[file])
		for _, o := range f.write(rnd, p.filesNew[file]) {
			content = put(content, o)
		}
		im.files[file] = content
	}
	return im
}

// lay writes the image under dir. A name whose directory was lost is lost.
func (im image) lay(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(im.names)) { // a directory before its entries
		to := filepath.Join(dir, name)
		var err error
		if file := im.names[name]; file == 0 {
			err = os.Mkdir(to, 0o700)
		} else {
			err = layFile(to, im.files[file])
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// layFile leaves zeros at the end to the file system.
func layFile(name string, content []byte) error {
	used := len(content)
	for used > 0 && content[used-1] == 0 {
		used--
	}
	if err := os.WriteFile(name, content[:used], 0o600); err != nil {
		return err
	}
	return os.Truncate(name, int64(len(content)))
}
