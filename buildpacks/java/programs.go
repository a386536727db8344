package java

import "embed"

//go:embed programs
var programs embed.FS

// MavenPrograms are what steps find beside Debian's Maven, by path: a Maven that goes on where no repository is
// reached, and what finds out how to start the result.
func MavenPrograms() map[string]string {
	return files(map[string]string{
		"usr/local/bin/mvn":              "mvn",
		"usr/local/bin/java-start":       "java-start",
		"usr/local/lib/java-network":     "java-network",
		"usr/local/lib/maven-debian.xml": "maven-debian.xml",
	})
}

// GradlePrograms are the same for Gradle.
func GradlePrograms() map[string]string {
	return files(map[string]string{
		"usr/local/bin/gradle":               "gradle",
		"usr/local/bin/java-start":           "java-start",
		"usr/local/lib/java-network":         "java-network",
		"usr/local/lib/gradle-debian.gradle": "gradle-debian.gradle",
	})
}

// RunPrograms are what running apps find beside Debian's packages, by path.
func RunPrograms() map[string]string { return files(map[string]string{"usr/local/bin/java": "java"}) }

func files(names map[string]string) map[string]string {
	texts := map[string]string{}
	for path, name := range names {
		text, err := programs.ReadFile("programs/" + name)
		if err != nil {
			panic(err) // it is in the binary
		}
		texts[path] = string(text)
	}
	return texts
}
