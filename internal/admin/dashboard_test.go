package admin_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// dashboard is what the test looks at of Grafana's JSON model.
type dashboard struct {
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage // a string or an object
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
		FieldConfig struct{ Defaults struct{ Unit string } }
	}
}

// TestDashboard holds docs/grafana.json and /metrics to one another: it asks for
// nothing that is not served, and every family of ours is on it.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.SchemaVersion < 38 { // Grafana 10.0
		t.Errorf("schema version %d: it is older than Grafana 10", d.SchemaVersion)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
		if v.Type == "datasource" && string(v.Query) != `"prometheus"` {
			t.Errorf("the data source is %s", v.Query)
		}
	}
	if variables["datasource"] != "datasource" {
		t.Errorf("no variable for the data source: %v", variables)
	}

	exposition := string(scrape(t, full(&numbers{map[float64]string{}})))
	served := map[string]string{} // names that a query may have, each with a sample's labels
	families := map[string]bool{}
	for line := range strings.Lines(exposition) {
		if f := strings.Fields(line); f[0] == "#" && f[1] == "TYPE" {
			families[f[2]] = true
		} else if f[0] != "#" {
			name, labels, _ := strings.Cut(f[0], "{")
			served[name] = "instance=,{" + labels // the first is Prometheus' own
		}
	}
	selected := regexp.MustCompile(`\b(\w+)\{([^}]*)\}`)
	label := regexp.MustCompile(`(\w+)=`)
	grouped := regexp.MustCompile(`by \(([^)]*)\)`)
	names := regexp.MustCompile(`\b(comntr|go|process)_[a-z_]+`)
	used := regexp.MustCompile(`\$(\w+)`)
	shown := map[string]bool{}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d stands twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" || at[0] >= 24 {
					t.Fatalf("%q lies on %q, or past the edge", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: its data source is %+v", p.Title, p.Datasource)
		}
		if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s: no query, or no unit", p.Title)
		}
		for _, q := range p.Targets {
			if strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") || strings.Count(q.Expr, "{") != strings.Count(q.Expr, "}") {
				t.Errorf("%s: %s", p.Title, q.Expr)
			}
			for _, v := range used.FindAllStringSubmatch(q.Expr, -1) {
				if v[1] != "__rate_interval" && variables[v[1]] == "" {
					t.Errorf("%s: no variable is called %s", p.Title, v[1])
				}
			}
			for _, s := range selected.FindAllStringSubmatch(q.Expr, -1) {
				for _, l := range label.FindAllStringSubmatch(s[2], -1) {
					if !strings.Contains(served[s[1]], l[1]+"=") {
						t.Errorf("%s: %s has no label %s", p.Title, s[1], l[1])
					}
				}
			}
			found := names.FindAllString(q.Expr, -1)
			if len(found) == 0 {
				t.Errorf("%s asks for nothing: %s", p.Title, q.Expr)
			}
			for _, name := range found {
				if served[name] == "" {
					t.Errorf("%s asks for %s, which is not served", p.Title, name)
				}
				for _, by := range grouped.FindAllStringSubmatch(q.Expr, -1) {
					for l := range strings.SplitSeq(by[1], ", ") {
						if !strings.Contains(served[name], l+"=") {
							t.Errorf("%s: %s has no label %s", p.Title, name, l)
						}
					}
				}
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if family, ok := strings.CutSuffix(name, suffix); ok && families[family] {
						name = family
					}
				}
				shown[name] = true
			}
		}
	}
	for family := range families {
		if strings.HasPrefix(family, "comntr_") && !shown[family] {
			t.Errorf("%s is on no panel", family)
		}
	}
}
