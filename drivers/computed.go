package drivers

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// maxExprNodes bounds what is evaluated at every poll: there are no loops, so
// the size of an expression is its cost.
const maxExprNodes = 200

// mathBuiltins are the functions of expressions.
var mathBuiltins = []string{"abs", "ceil", "floor", "round", "min", "max", "int", "float"}

// TagRef names a tag.
type TagRef struct{ Device, Tag string }

// Computed is a tag whose value is an expression over other tags: tags of its
// device by their name, others as device.tag, and names that are no words as
// tag("device/name"). It may be used by one goroutine at a time.
type Computed struct {
	inputs  []TagRef
	program *vm.Program
	round   *int
	values  []any
}

// computedEnv is what a compiled expression sees.
type computedEnv struct {
	In []any `expr:"_in"`
}

// NewComputed compiles an expression for a tag of a device. known says which
// tags there are; nil: all names are. The error is one line.
func NewComputed(device, text string, round *int, known func(TagRef) bool) (*Computed, error) {
	n := &naming{device: device, known: known}
	options := []expr.Option{expr.Env(computedEnv{}), expr.DisableAllBuiltins(), expr.MaxNodes(maxExprNodes), expr.Patch(memberNames{n}), expr.Patch(ownNames{n}), expr.Patch(onlyMath{n})}
	for _, name := range mathBuiltins {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(text, options...)
	switch {
	case n.problem != "":
		return nil, fmt.Errorf("%s", n.problem)
	case err != nil:
		return nil, fmt.Errorf("%s", firstLine(err))
	case len(n.inputs) == 0:
		return nil, fmt.Errorf("it names no tag")
	}
	return &Computed{inputs: n.inputs, program: program, round: round, values: make([]any, len(n.inputs))}, nil
}

// place is where expr says an error is; the first column is 1 here.
var place = regexp.MustCompile(`\s*\((\d+):(\d+)\)$`)

func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return place.ReplaceAllString(strings.TrimSpace(first), " (column $2)")
}

// Inputs are the tags that the expression speaks of.
func (c *Computed) Inputs() []TagRef { return c.inputs }

// eval is the value for those of the inputs, in their order; Null where the
// expression has none: a division by zero, a text where a number is needed.
func (c *Computed) eval(inputs []Value) Value {
	for i, v := range inputs {
		c.values[i] = v.native()
	}
	out, err := expr.Run(c.program, computedEnv{c.values})
	if err != nil {
		return Value{}
	}
	var v Value
	switch x := out.(type) {
	case bool:
		v = BoolValue(x)
	case int:
		v = IntValue(int64(x))
	case int64:
		v = IntValue(x)
	case float64:
		v = FloatValue(x)
	case string:
		v = StringValue(x)
	}
	if c.round != nil {
		v = roundTo(v, *c.round)
	}
	return v
}

// native is the value as expressions know it.
func (v Value) native() any {
	switch v.kind {
	case Bool:
		return v.bits != 0
	case String:
		return v.text
	}
	if i, ok := v.Int(); ok {
		return int(i)
	}
	f, _ := v.Float()
	return f
}

// naming turns the names of an expression into places among its inputs.
type naming struct {
	device  string
	known   func(TagRef) bool
	inputs  []TagRef
	problem string // the first
}

func (n *naming) patch(node *ast.Node, ref TagRef) {
	if n.known != nil && !n.known(ref) && n.problem == "" {
		n.problem = fmt.Sprintf("there is no tag %s/%s", ref.Device, ref.Tag)
	}
	i := slices.Index(n.inputs, ref)
	if i < 0 {
		i = len(n.inputs)
		n.inputs = append(n.inputs, ref)
	}
	ast.Patch(node, &ast.MemberNode{Node: &ast.IdentifierNode{Value: "_in"}, Property: &ast.IntegerNode{Value: i}})
}

// memberNames finds device.tag and tag("device/name").
type memberNames struct{ *naming }

// Visit implements ast.Visitor.
func (n memberNames) Visit(node *ast.Node) {
	switch x := (*node).(type) {
	case *ast.MemberNode:
		base, ok1 := x.Node.(*ast.IdentifierNode)
		tag, ok2 := x.Property.(*ast.StringNode)
		if ok1 && ok2 {
			n.patch(node, TagRef{base.Value, tag.Value})
		}
	case *ast.CallNode:
		callee, ok := x.Callee.(*ast.IdentifierNode)
		if !ok || callee.Value != "tag" || len(x.Arguments) != 1 {
			return
		}
		if text, ok := x.Arguments[0].(*ast.StringNode); ok {
			device, tag, two := strings.Cut(text.Value, "/")
			if !two {
				device, tag = n.device, text.Value
			}
			n.patch(node, TagRef{device, tag})
		}
	}
}

// ownNames finds tags of the device itself, once memberNames is through.
type ownNames struct{ *naming }

// Visit implements ast.Visitor.
func (n ownNames) Visit(node *ast.Node) {
	if x, ok := (*node).(*ast.IdentifierNode); ok && x.Value != "_in" && x.Value != "tag" {
		n.patch(node, TagRef{n.device, x.Value})
	}
}

// onlyMath refuses what is no arithmetic: lists, loops over them, variables.
type onlyMath struct{ *naming }

// Visit implements ast.Visitor.
func (n onlyMath) Visit(node *ast.Node) {
	what := ""
	switch x := (*node).(type) {
	case *ast.BuiltinNode:
		if !slices.Contains(mathBuiltins, x.Name) {
			what = x.Name
		}
	case *ast.CallNode:
		what = "calls of functions other than " + strings.Join(mathBuiltins, ", ")
	case *ast.BinaryNode:
		if x.Operator == ".." {
			what = ".."
		}
	case *ast.ArrayNode, *ast.MapNode, *ast.SliceNode, *ast.PredicateNode, *ast.PointerNode:
		what = "lists"
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		what = "variables"
	}
	if what != "" && n.problem == "" {
		n.problem = "it cannot use " + what
	}
}
