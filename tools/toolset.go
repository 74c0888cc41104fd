package tools

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Toolset is a group of tools that the operator can switch on and off.
type Toolset struct {
	// Name is the operator's name for the toolset. Aliases are older names.
	Name    string
	Aliases []string
	// Description says what the tools are for.
	Description string
	// Tools are in the order in which they are documented.
	Tools []*Tool
	// OptIn means that the toolset is off unless the operator names it.
	OptIn bool
	// Instructions are its part of the server's instructions.
	Instructions []Instruction
	// Check tells a model what to check after a call whose outcome is unknown, such as
	// "Check with list_tokens what is there". It may be empty.
	Check string

	// Before, if set, runs at the start of each call. Its error ends the call.
	Before func(context.Context, *Call) error
	// Recipient, if set, returns what distinguishes calls besides their arguments. An
	// identical call joins an earlier one that still runs.
	Recipient func(context.Context) string
}

// Instruction is a sentence for the model.
type Instruction struct {
	// Tool is the tool that has to be on offer. Empty: any of the toolset.
	Tool string
	Text string
}

func (s *Toolset) isNamed(name string) bool {
	return s.Name == name || slices.Contains(s.Aliases, name)
}

// Available returns the toolsets without the tools and arguments that need extensions of
// the API, unless it has them.
func Available(sets []*Toolset, extensions bool) []*Toolset {
	if extensions {
		return sets
	}
	var available []*Toolset
	for _, set := range sets {
		documented := *set
		documented.Tools = nil
		for _, tool := range set.Tools {
			if tool.Extension {
				continue
			}
			plain := *tool
			plain.Parameters = slices.DeleteFunc(slices.Clone(tool.Parameters), func(p Parameter) bool { return p.Extension })
			documented.Tools = append(documented.Tools, &plain)
		}
		available = append(available, &documented)
	}
	return available
}

// Tools returns the tools of all sets.
func Tools(sets []*Toolset) []*Tool {
	var all []*Tool
	for _, set := range sets {
		all = append(all, set.Tools...)
	}
	return all
}

// instructions returns the server's instructions for the tools on offer.
func instructions(sets []*Toolset, offers func(*Toolset, *Tool) bool) string {
	var b strings.Builder
	b.WriteString("kenbun acts as the signed-in user, through that user's personal access token (PAT). ")
	for _, set := range sets {
		for _, instruction := range set.Instructions {
			if slices.ContainsFunc(set.Tools, func(t *Tool) bool {
				return (instruction.Tool == "" || instruction.Tool == t.Name) && offers(set, t)
			}) {
				b.WriteString(instruction.Text + " ")
			}
		}
	}
	b.WriteString("Never ask for a token's value and never pass one to a tool. " +
		"Every error says what to do next. If it names a command, give it to the user as it stands.")
	return b.String()
}

// checkNames returns an error for an unknown name in the policy: a misspelt exclusion
// must not leave the tool on. It replaces aliases by names.
func (p Policy) checkNames(sets []*Toolset) (Policy, error) {
	var toolsets, names []string
	for _, set := range sets {
		toolsets = append(toolsets, set.Name)
		for _, tool := range set.Tools {
			names = append(names, tool.Name)
		}
	}
	p.Toolsets = slices.Clone(p.Toolsets)
	for i, name := range p.Toolsets {
		at := slices.IndexFunc(sets, func(s *Toolset) bool { return s.isNamed(name) })
		if at < 0 {
			return p, fmt.Errorf("there is no toolset %q; the toolsets are %s", name, strings.Join(toolsets, ", "))
		}
		p.Toolsets[i] = sets[at].Name
	}
	for _, name := range slices.Concat(p.Only, p.Exclude) {
		if !slices.Contains(names, name) {
			return p, fmt.Errorf("there is no tool %q; the tools are %s", name, strings.Join(names, ", "))
		}
	}
	return p, nil
}
