// Package tools is what an AI assistant can do on kenbun: each tool's
// definition, words and handler. It knows no transport.
//
// A tool is a value of type [Tool]; [All] holds every one of them, and
// registering, filtering, documenting and testing walk that slice. A [Toolbox]
// joins the tools with their surroundings: who is calling ([Callers]), by which
// road a new secret reaches the person ([Deliverer]), who keeps what was changed
// ([Auditor]), and what the operator allows at most ([Policy]).
//
// Three rules hold for everything here:
//
//   - A new token's value is in no result, error or log. It goes to the person
//     through a Deliverer.
//   - What cannot be undone happens only after a person agreed, by a road that
//     no argument of a tool can stand for.
//   - A call acts as the one user whose credential came with it.
package tools
