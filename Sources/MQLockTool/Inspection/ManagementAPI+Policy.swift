extension ManagementAPI {
    /// The settings of all queues whose names match.
    struct Policy: Equatable, Sendable {
        let name: String
        /// A regular expression.
        let pattern: String
        /// `all`, `queues`, `quorum_queues`, or a target that no lock's queue is.
        var target = "all"
        var priority = 0
        /// Keys with their values as text.
        var definition: [String: String] = [:]

        /// - Throws: what is wrong with the pattern.
        func applies(toQueue queue: String) throws -> Bool {
            guard ["all", "queues", "quorum_queues"].contains(target) else { return false }
            return try queue.contains(Regex(pattern))
        }
    }
}

extension ManagementAPI.Policy: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, pattern, priority, definition
        case target = "apply-to"
    }

    private struct Value: Decodable {
        let text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            let number = try? container.decode(Int.self)
            text = number.map { "\($0)" } ?? (try? container.decode(String.self)) ?? "?"
        }
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(String.self, forKey: .name)
        pattern = try values.decode(String.self, forKey: .pattern)
        target = try values.decodeIfPresent(String.self, forKey: .target) ?? target
        priority = try values.decodeIfPresent(Int.self, forKey: .priority) ?? priority
        definition = try values.decode([String: Value].self, forKey: .definition).mapValues(\.text)
    }
}
