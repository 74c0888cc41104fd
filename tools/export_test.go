package tools

import "encoding/json"

// PolicyRules is how many settings of a policy have a rule.
var PolicyRules = len(policyRules)

func (t *Tool) ParseArguments(raw json.RawMessage) (Arguments, error) { return t.parseArguments(raw) }

func (p *Parameter) Absent(raw json.RawMessage) bool { return p.absent(raw) }

func (p *Parameter) Decode(raw json.RawMessage) (any, error) { return p.decode(raw) }
