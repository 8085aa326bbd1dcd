package bridge

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// whereEnv is what an expression may speak of. For a message that is not a
// tag's value, value, quality, unit and ts come from its JSON payload, and
// value is the payload itself where that is a bare number, word or text.
type whereEnv struct {
	Value   any            `expr:"value"`
	TS      int64          `expr:"ts"` // Unix milliseconds
	Quality string         `expr:"quality"`
	Reason  string         `expr:"reason"`
	Unit    string         `expr:"unit"`
	Device  string         `expr:"device"`
	Tag     string         `expr:"tag"`
	Topic   string         `expr:"topic"`
	Type    string         `expr:"type"` // sample, status, event, command-result, message
	Payload map[string]any `expr:"payload"`

	Compare func(op string, a, b any) bool `expr:"_compare"`
}

// where is a compiled condition of a route.
type where struct {
	program *vm.Program
	payload bool // the expression looks into the payload
}

// compileWhere checks the expression and its types: it must give true or
// false, and every name must be known. The error is one line with the column.
func compileWhere(text string) (*where, error) {
	if _, err := expr.Compile(text, expr.Env(whereEnv{}), expr.AsBool()); err != nil {
		return nil, fmt.Errorf("%s", oneLine(err))
	}
	program, err := expr.Compile(text, expr.Env(whereEnv{}), expr.AsBool(), expr.Patch(safeCompare{}))
	if err != nil {
		return nil, fmt.Errorf("%s", oneLine(err))
	}
	return &where{program, strings.Contains(text, "payload")}, nil
}

// position is where expr says an error is; the first column is 1 here.
var position = regexp.MustCompile(`\s*\((\d+):(\d+)\)$`)

func oneLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return position.ReplaceAllString(strings.TrimSpace(first), " (column $2)")
}

// safeCompare replaces < <= > >= by a comparison that is false where the two
// sides cannot be compared: `value > 80 or quality != 'good'` must be true,
// not an error, for a value that is null.
type safeCompare struct{}

// Visit implements ast.Visitor.
func (safeCompare) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok {
		return
	}
	switch b.Operator {
	case "<", "<=", ">", ">=":
		ast.Patch(node, &ast.CallNode{
			Callee:    &ast.IdentifierNode{Value: "_compare"},
			Arguments: []ast.Node{&ast.StringNode{Value: b.Operator}, b.Left, b.Right},
		})
	}
}

func compare(op string, a, b any) bool {
	if as, ok := a.(string); ok {
		bs, ok := b.(string)
		return ok && ordered(op, strings.Compare(as, bs))
	}
	af, aok := number(a)
	bf, bok := number(b)
	switch {
	case !aok || !bok:
		return false
	case af < bf:
		return ordered(op, -1)
	case af > bf:
		return ordered(op, 1)
	case af == bf:
		return ordered(op, 0)
	}
	return false // NaN
}

func ordered(op string, c int) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// match evaluates the condition. An error, as of a payload field that is not
// there, means that the message does not match.
func (w *where) match(m *mqtt.Message, wall func(clock.Stamp) (time.Time, bool)) (bool, error) {
	out, err := expr.Run(w.program, w.env(m, wall))
	if err != nil {
		return false, fmt.Errorf("where: %s", oneLine(err))
	}
	yes, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("where: gives %v, neither true nor false", out)
	}
	return yes, nil
}

func (w *where) env(m *mqtt.Message, wall func(clock.Stamp) (time.Time, bool)) whereEnv {
	env := whereEnv{Topic: m.Topic, Type: m.Kind.String(), Compare: compare}
	s := m.Sample
	if s == nil || w.payload {
		env.fromPayload(m.Payload)
	}
	if s == nil {
		return env
	}
	env.Value, env.Quality, env.Reason, env.Unit = nil, s.Quality, s.Reason, s.Unit
	env.Device, env.Tag = s.Device, s.Tag
	if err := json.Unmarshal([]byte(s.Value), &env.Value); err != nil {
		env.Value = nil
	}
	t, _ := wall(s.Time)
	env.TS = t.UnixMilli()
	return env
}

// maxWherePayload bounds what is parsed for a condition.
const maxWherePayload = 64 << 10

func (env *whereEnv) fromPayload(payload []byte) {
	env.Value = string(payload)
	if len(payload) > maxWherePayload {
		return
	}
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		return
	}
	object, ok := v.(map[string]any)
	if !ok {
		env.Value = v
		return
	}
	env.Payload, env.Value = object, object["value"]
	env.Quality, _ = object["quality"].(string)
	env.Reason, _ = object["reason"].(string)
	env.Unit, _ = object["unit"].(string)
	if ts, ok := object["ts"].(float64); ok {
		env.TS = int64(ts)
	}
}
