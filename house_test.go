package comntr_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/comntr/comntr"

// TestHouse holds the floors of ARCHITECTURE.md: who may import whom, and
// which package alone may import a library.
func TestHouse(t *testing.T) {
	mayImport := map[string][]string{
		".":                 {},
		"web":               {},
		"internal/measure":  {},
		"internal/store":    {".", "internal/measure"},
		"internal/ipfs":     {".", "internal/measure"},
		"internal/discover": {"."},
		"internal/api":      {".", "internal/measure", "internal/store", "internal/ipfs"},
		"internal/replica":  {".", "internal/measure", "internal/store", "internal/ipfs", "internal/discover"},
		"internal/admin":    {"internal/measure", "internal/store", "internal/ipfs", "internal/discover", "internal/api", "internal/replica"},
		"bench":             {"."},
		"cmd/comntr":        {".", "internal/store", "internal/ipfs", "internal/discover", "internal/api", "internal/replica", "internal/admin", "web"},
	}
	soleImporters := map[string][]string{
		"github.com/ipfs/boxo":           {"internal/ipfs"},
		"github.com/libp2p/":             {"internal/ipfs"},
		"github.com/anacrolix/":          {"internal/discover"},
		"github.com/coder/websocket":     {"internal/discover"},
		"github.com/pion/":               {"internal/discover"},
		"github.com/quic-go/":            {"internal/api"},
		"github.com/cockroachdb/pebble/": {"internal/store", "internal/ipfs"},
		"github.com/alecthomas/kong":     {"cmd/comntr"},
		"github.com/prometheus/":         {"internal/admin"},
	}
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "tools" || d.Name() == ".git" || path == filepath.Join("interop", "gateway")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		allowed, ok := mayImport[dir]
		if !ok {
			t.Errorf("%s: no floor of the house is called %s", path, dir)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(imp, module); ok {
				ours = strings.TrimPrefix(ours, "/")
				if ours == "" {
					ours = "."
				}
				if !slices.Contains(allowed, ours) {
					t.Errorf("%s imports %s, which is not below it", path, ours)
				}
			}
			for prefix, who := range soleImporters {
				if strings.HasPrefix(imp, prefix) && !slices.Contains(who, dir) {
					t.Errorf("%s imports %s, which only %s may", path, imp, strings.Join(who, ", "))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Errorf("only %d files were looked at", seen)
	}
}
