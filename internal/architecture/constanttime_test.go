package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretName matches names of what must not be compared byte by byte: the time
// of such a comparison shows how much of a guess was right.
var secretName = regexp.MustCompile(`(?i)^(digest|mac|hmac|csrf|secret|signature|serverkey|pepper|proof)$|(Digest|MAC|Secret|CSRF)$`)

func TestR8_SecretsAndDigestsAreComparedInConstantTime(t *testing.T) {
	root := filepath.Join("..", "..")
	files := token.NewFileSet()
	compared := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && name != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, filepath.Join(root, filepath.FromSlash(name)), nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			var operands []ast.Expr
			switch n := node.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					operands = []ast.Expr{n.X, n.Y}
				}
			case *ast.CallExpr:
				switch callee(n) {
				case "hmac.Equal", "subtle.ConstantTimeCompare":
					compared++
				case "bytes.Equal", "slices.Equal", "strings.EqualFold", "bytes.Compare", "strings.Compare":
					operands = n.Args
				}
			}
			if !slices.ContainsFunc(operands, isEmptyValue) && slices.ContainsFunc(operands, holdsSecret) {
				t.Errorf("%s compares a secret or a digest; use hmac.Equal or subtle.ConstantTimeCompare", files.Position(node.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared < 5 {
		t.Errorf("%d comparisons in constant time were found; this test looks in the wrong place", compared)
	}
}

// callee is the package and name of the function that is called.
func callee(call *ast.CallExpr) string {
	if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
		if in, ok := selector.X.(*ast.Ident); ok {
			return in.Name + "." + selector.Sel.Name
		}
	}
	return ""
}

// isEmptyValue reports whether something is compared with nothing, which shows
// nothing.
func isEmptyValue(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	}
	return false
}

func holdsSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.CallExpr:
		switch function := e.Fun.(type) {
		case *ast.SelectorExpr:
			return slices.Contains([]string{"Reveal", "mac", "Sum"}, function.Sel.Name)
		case *ast.Ident: // a conversion
			return function.Name == "string" && holdsSecret(e.Args[0])
		case *ast.ArrayType:
			return holdsSecret(e.Args[0])
		}
	case *ast.SliceExpr:
		return holdsSecret(e.X)
	}
	return false
}
