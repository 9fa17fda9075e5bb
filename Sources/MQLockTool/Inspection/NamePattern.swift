import MQLock

/// Names with wildcards, for `list`: `*` stands for any text, `?` for one scalar. Everything else is literal.
struct NamePattern: Equatable {
    private let scalars: [Unicode.Scalar]

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    /// Whether the pattern may mean several names.
    var hasWildcards: Bool { scalars.contains { $0 == "*" || $0 == "?" } }

    /// In time that grows with both lengths, whatever the pattern: only the last `*` is ever tried again.
    func matches(_ name: LockName) -> Bool {
        let text = Array(name.string.unicodeScalars)
        var (place, inText) = (0, 0)
        var retry: (place: Int, inText: Int)?
        while inText < text.count {
            if place < scalars.count, scalars[place] == "*" {
                place += 1
                retry = (place, inText)
            } else if place < scalars.count, scalars[place] == "?" || scalars[place] == text[inText] {
                (place, inText) = (place + 1, inText + 1)
            } else if let last = retry {
                retry = (last.place, last.inText + 1)
                (place, inText) = (last.place, last.inText + 1)
            } else {
                return false
            }
        }
        return scalars[place...].allSatisfy { $0 == "*" }
    }

    /// A name with wildcards that nobody uses is a mistake, not a free lock: `show` and `break` use names as they are.
    static func refuseUnused(_ view: LockView) throws(LockError) {
        guard view.isUnused, Self(view.name.string).hasWildcards else { return }
        throw LockError(
            .invalidName,
            "nobody uses a lock of the very name \(view.name): mqlock list '\(view.name)' shows those that match it")
    }
}
