package conf

// Problem is one thing that is wrong in a section. Key is the path relative to
// the section that reports it: "tag[3].reg", "listener[0].tls.cert_file"; an
// empty key means the section itself.
type Problem struct {
	Key  string // where
	Code string // "E0203"; W… is a warning
	Text string // what is wrong, without a full stop
	Help string // the remedy, may be empty: `did you mean "float32"?`
	Part string // the piece of the value at fault ("flaot32"), for the caret; may be empty
}

// Bad receives the problems of a section; Validate methods call it once per problem.
type Bad func(Problem)

// Under returns a Bad that puts prefix before every key.
func (b Bad) Under(prefix string) Bad {
	return func(p Problem) {
		switch {
		case p.Key == "":
			p.Key = prefix
		case p.Key[0] == '[':
			p.Key = prefix + p.Key
		default:
			p.Key = prefix + "." + p.Key
		}
		b(p)
	}
}
