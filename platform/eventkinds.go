package platform

import (
	"slices"
	"strings"
)

// eventKinds are all kinds, in the order of their names' declarations.
func eventKinds() []EventKind {
	return []EventKind{
		EventAppCreated, EventAppDestroyed, EventAppRenamed, EventAppCloned, EventAppLocked, EventAppUnlocked, EventAppRestored,
		EventTrashEmptied, EventStorage,
		EventPushed, EventDeployed, EventPushFailed, EventRolledBack, EventConfigured, EventRevealed, EventCleared, EventCommitted,
		EventKept, EventReleasesSet, EventLinked, EventSynced, EventGitHost,
		EventScaled, EventRestarted, EventAppStopped, EventAppStarted, EventPolicySet, EventBuildSet, EventLimited, EventOpened,
		EventIdleSet, EventChecksSet, EventLogsSet, EventDrainAdded, EventDrainRemoved,
		EventSlept, EventWoke, EventOverslept, EventCanary, EventRouting, EventStackChanged, EventRebased,
		EventDomains, EventCertified, EventCertFailed, EventCertExpires, EventCertAdded, EventCertRemoved, EventCertRevoked, EventCertsSet,
		EventRan, EventRunEnded, EventRunStopped, EventRunRetired, EventRunSet, EventCronSet, EventCronMissed, EventCronSkip,
		EventStarted, EventHealthy, EventUnhealthy, EventReady, EventExited, EventOutOfMemory, EventDiskFull, EventCrashed, EventGaveUp,
		EventStartFailed, EventPaused, EventResumed, EventEntered, EventCopiedOut, EventCopiedIn, EventCommand,
	}
}

// outcomes are how a command may end, as the audit has it.
func outcomes() []string {
	list := []string{"ok", cutOff}
	for k := Internal; k <= Unauthorized; k++ {
		list = append(list, k.String())
	}
	return list
}

// cutOff is the outcome of a command that the end of the daemon cut off.
const cutOff = "cut off"

// isWordOf makes sure that a word that chooses events is one of those that there are: a wrong one would find nothing, which
// reads like an answer.
func isWordOf[W ~string](flag string, word W, list []W) error {
	if word == "" || slices.Contains(list, word) {
		return nil
	}
	var names []string
	meant := ""
	for _, w := range list {
		names = append(names, string(w))
		if Near(string(word), string(w)) {
			meant = "; did you mean " + string(w) + "?"
		}
	}
	return Errorf(Usage, "%s %s is none%s", flag, word, meant).WithHint("it is one of %s", strings.Join(names, ", "))
}
