import Foundation

/// Measures how long shards of a Kafka topic are without an owner: by `ShardOwnership`, and in turns with it by a group of
/// librdkafka alone, whose members own what they are assigned and claim nothing. Both have the same session and the same
/// heartbeat. Each member is a process of its own.
///
///     OwnershipRounds measure BROKERS SESSION-MS ROUNDS TOPIC:SHARDS…
///
/// makes the topics unless they exist, and prints a table for each. The other words are for itself:
///
///     OwnershipRounds bare|mqlock BROKERS SESSION-MS TOPIC SHARDS
///
/// is one member until its standard input ends, and prints lines of ``Sighting``.
@main
struct OwnershipRounds {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count >= 5, let session = Int(arguments[3]), session >= 1000 else { usage() }
        do {
            switch arguments[1] {
            case "measure":
                let topics = arguments.dropFirst(5).compactMap(Topic.init)
                guard let rounds = Int(arguments[4]), rounds > 0, !topics.isEmpty, topics.count == arguments.count - 5
                else { usage() }
                for topic in topics {
                    try await Director(brokers: arguments[2], session: session, rounds: rounds, topic: topic).measure()
                }
            case let kind:
                guard let kind = Contestant(rawValue: kind), arguments.count == 6, let shards = Int(arguments[5]) else {
                    usage()
                }
                let place = Place(
                    brokers: arguments[2], session: session, topic: Topic(name: arguments[4], shards: shards))
                switch kind {
                case .bare: try BareMember(place).run()
                case .mqlock: try await OwnMember(place).run()
                }
            }
        } catch {
            FileHandle.standardError.write(Data("OwnershipRounds: \(error)\n".utf8))
            exit(70)
        }
    }

    private static func usage() -> Never {
        FileHandle.standardError.write(
            Data("usage: OwnershipRounds measure BROKERS SESSION-MS ROUNDS TOPIC:SHARDS…\n".utf8))
        exit(64)
    }
}

/// Who owns shards.
enum Contestant: String, CaseIterable {
    case bare, mqlock
}

/// A topic with so many partitions.
struct Topic {
    let name: String
    let shards: Int

    init(name: String, shards: Int) { (self.name, self.shards) = (name, shards) }

    init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let shards = Int(parts[1]), shards > 0 else { return nil }
        self.init(name: String(parts[0]), shards: shards)
    }
}

/// What a member joins.
struct Place {
    let brokers: String
    /// In milliseconds.
    let session: Int
    let topic: Topic

    /// As that of `ShardOwnership`, so that both learn of a rebalance equally soon.
    var heartbeat: Int { session / 20 }
}

struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
