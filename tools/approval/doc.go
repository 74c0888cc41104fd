// Package approval keeps the budget of questions that a user is asked.
//
// A question costs the user attention, and a model can ask without end. At most
// two questions of an account are open at once, one about each target, and after a
// no the target is not asked about for minutes, twice as long after each further
// no. The budget lies in a [Store], which several processes may share.
package approval
