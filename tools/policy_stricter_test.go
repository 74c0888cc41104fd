package tools

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func anyPolicy(t *rapid.T, label string) Policy {
	names, toolsets := []string{}, []string{}
	for _, tool := range All() {
		names, toolsets = append(names, tool.Name), append(toolsets, tool.Toolset)
	}
	some := func(from []string, what string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 3, rapid.ID).Draw(t, label+" "+what)
	}
	return Policy{
		ReadOnly:            rapid.Bool().Draw(t, label+" read-only"),
		Toolsets:            some(toolsets, "toolsets"),
		Only:                some(names, "tools"),
		Exclude:             some(names, "exclude-tools"),
		MaxTokenLifetime:    time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, label+" lifetime")),
		MinTokenLifetime:    time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, label+" shortest")),
		MaxTokensPerDay:     rapid.IntRange(0, 9).Draw(t, label+" a day"),
		MaxChangesPerMinute: rapid.IntRange(0, 9).Draw(t, label+" changes"),
		AllowNeverExpiring:  rapid.Bool().Draw(t, label+" never"),
		AllowSelfRevoke:     rapid.Bool().Draw(t, label+" self"),
		Approval:            rapid.SampledFrom([]Approval{ApprovalAsk, ApprovalClient, ApprovalDeny}).Draw(t, label+" approval"),
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
		for _, one := range []Policy{a, b} {
			if keys := both.WeakerThan(one); len(keys) > 0 {
				t.Errorf("%+v is weaker than %+v in %v", both, one, keys)
			}
			for _, tool := range All() {
				if both.offers(tool) && !one.offers(tool) {
					t.Errorf("%s is on offer, and was not", tool.Name)
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
			if one.Approval == ApprovalDeny && both.Approval != ApprovalDeny || one.Approval == ApprovalAsk && both.Approval == ApprovalClient {
				t.Errorf("approval %s, of %s", both.Approval, one.Approval)
			}
		}
		if same, err := a.Stricter(WeakestPolicy()); err != nil || len(same.WeakerThan(a)) > 0 || len(a.WeakerThan(same)) > 0 {
			t.Errorf("a policy that restricts nothing makes %+v of %+v", same, a)
		}
	})
}

func TestEverySettingOfAPolicyHasARule(t *testing.T) {
	// FromFile restricts nothing.
	if fields := reflect.TypeFor[Policy]().NumField() - 1; fields != len(policyRules) {
		t.Errorf("%d settings and %d rules", fields, len(policyRules))
	}
}
