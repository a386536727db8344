package platform

// EventChecksSet says that it was changed how an app is checked and released.
const EventChecksSet EventKind = "checks-set"
