import MQLock

// The work that the examples of README and articles do under a lock. They are compiled, not run.

func makeReport() async throws -> String { "" }

func store(_ report: String, fence: FencingToken) async throws {}
