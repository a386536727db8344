package platform

import (
	"fmt"
	"regexp"
)

// missingInterpreter finds the script in what bash (5.2: "cannot execute", older: "bad interpreter") and env say when
// the program that its first line names is not there. A carriage return behind that name is a part of it.
var missingInterpreter = regexp.MustCompile(`([^\s:]+): (?:cannot execute: required file not found|\S+: bad interpreter)|'[^']*\\r': No such file`)

func (e ending) interpreter(t *Trouble, script string) {
	if script == "" {
		script = firstWord(e.command)
	}
	script = firstWord(script)
	t.Code = TroubleCommand
	t.Text += fmt.Sprintf(": the first line of %q names a program that is not in its image, maybe as its lines end like on Windows", script)
	t.Fix = fmt.Sprintf(`take the carriage returns away: sed -i 's/\r$//' %s, then commit it; or write another interpreter behind #!`, script)
}
