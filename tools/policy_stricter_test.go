package tools_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
	"pgregory.net/rapid"
)

func anyPolicy(t *rapid.T, label string) tools.Policy {
	var names, sets []string
	for _, set := range toolsets.All() {
		sets = append(sets, set.Name)
		for _, tool := range set.Tools {
			names = append(names, tool.Name)
		}
	}
	some := func(from []string, what string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 3, rapid.ID).Draw(t, label+" "+what)
	}
	return tools.Policy{
		ReadOnly:            rapid.Bool().Draw(t, label+" read-only"),
		Toolsets:            some(sets, "toolsets"),
		Only:                some(names, "tools"),
		Exclude:             some(names, "exclude-tools"),
		MaxTokenLifetime:    time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, label+" lifetime")),
		MinTokenLifetime:    time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, label+" shortest")),
		MaxTokensPerDay:     rapid.IntRange(0, 9).Draw(t, label+" a day"),
		MaxChangesPerMinute: rapid.IntRange(0, 9).Draw(t, label+" changes"),
		AllowNeverExpiring:  rapid.Bool().Draw(t, label+" never"),
		AllowSelfRevoke:     rapid.Bool().Draw(t, label+" self"),
		Approval:            rapid.SampledFrom([]tools.Approval{tools.ApprovalAsk, tools.ApprovalClient, tools.ApprovalDeny}).Draw(t, label+" approval"),
	}
}

// Two policies together never allow what one of them does not.
func TestTheStricterOfTwoPoliciesIsNeverWeakerThanEither(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyPolicy(t, "a"), anyPolicy(t, "b")
		both, err := a.Stricter(b)
		if err != nil {
			return // nothing is served
		}
		for _, one := range []tools.Policy{a, b} {
			if keys := both.WeakerThan(one); len(keys) > 0 {
				t.Errorf("%+v is weaker than %+v in %v", both, one, keys)
			}
			for _, set := range toolsets.All() {
				for _, tool := range set.Tools {
					if both.Offers(set, tool) && !one.Offers(set, tool) {
						t.Errorf("%s is on offer, and was not", tool.Name)
					}
				}
			}
			if both.AllowNeverExpiring && !one.AllowNeverExpiring || both.AllowSelfRevoke && !one.AllowSelfRevoke || both.MaxTokenLifetime > one.MaxTokenLifetime {
				t.Errorf("%+v allows more than %+v", both, one)
			}
			if one.MaxChangesPerMinute > 0 && (both.MaxChangesPerMinute == 0 || both.MaxChangesPerMinute > one.MaxChangesPerMinute) {
				t.Errorf("%d changes a minute, of at most %d", both.MaxChangesPerMinute, one.MaxChangesPerMinute)
			}
			if one.MaxTokensPerDay > 0 && (both.MaxTokensPerDay == 0 || both.MaxTokensPerDay > one.MaxTokensPerDay) || both.MinTokenLifetime < one.MinTokenLifetime {
				t.Errorf("%+v allows more tokens than %+v", both, one)
			}
			if one.Approval == tools.ApprovalDeny && both.Approval != tools.ApprovalDeny || one.Approval == tools.ApprovalAsk && both.Approval == tools.ApprovalClient {
				t.Errorf("approval %s, of %s", both.Approval, one.Approval)
			}
		}
		if same, err := a.Stricter(tools.WeakestPolicy()); err != nil || len(same.WeakerThan(a)) > 0 || len(a.WeakerThan(same)) > 0 {
			t.Errorf("a policy that restricts nothing makes %+v of %+v", same, a)
		}
	})
}

func TestEverySettingOfAPolicyHasARule(t *testing.T) {
	// FromFile restricts nothing.
	if fields := reflect.TypeFor[tools.Policy]().NumField() - 1; fields != tools.PolicyRules {
		t.Errorf("%d settings and %d rules", fields, tools.PolicyRules)
	}
}
