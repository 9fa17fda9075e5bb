import ExamplesShared
import Foundation
import MQLockKafka

@main
struct ShardedInventory {
    static func main() async {
        await Program.run {
            let options = try Options(
                flags: ["audit", "stand-still", "no-gate"],
                known: [
                    "broker", "movements", "partitions", "session", "name", "inventory", "produce", "articles",
                    "expect",
                ])
            let cluster = try Cluster(options.broker)
            let movements = options.text("movements", default: "inventory.movements")
            let partitions = try options.number("partitions", default: 4)
            let inventory = options.text("inventory", default: "inventory")
            let journal = { @Sendable shard in
                Journal(directory: inventory, shard: shard, hasGate: !options.has("no-gate"))
            }
            if options.has("audit") {
                return try await audit(
                    cluster, movements, (0..<partitions).map(journal),
                    expecting: try options.number("expect", default: 0))
            }
            let count = try options.number("produce", default: 0)
            if count > 0 {
                return try produce(count, articles: try options.number("articles", default: 20), cluster, movements)
            }

            // One group for both topics: the owner of a shard was assigned the partition of movements, too.
            var configuration = ShardOwnership.Configuration(
                connection: KafkaConnection(brokers: cluster.brokers), records: movements, locks: cluster.topic,
                group: "inventory/\(cluster.topic)", partitions: partitions)
            configuration.session = .seconds(try options.number("session", default: 20))
            let ownership = try ShardOwnership(configuration)
            let member = Member(
                name: options.text("name", default: "member-\(ProcessInfo.processInfo.processIdentifier)"),
                ownership: ownership, brokers: cluster.brokers.joined(separator: ","), movements: movements,
                journal: journal, standsStill: options.has("stand-still"))
            try FileManager.default.createDirectory(atPath: inventory, withIntermediateDirectories: true)
            try await withThrowingTaskGroup { group in
                group.addTask { try await ownership.run() }
                group.addTask { try await member.run() }
                // The first to end also ends the other; leaving the group waits for the work in hand.
                try await group.next()
                group.cancelAll()
            }
        }
    }

    private static func produce(_ count: Int, articles: Int, _ cluster: Cluster, _ topic: String) throws {
        let writer = try MovementWriter(brokers: cluster.brokers.joined(separator: ","), topic: topic)
        try writer.write(
            (0..<count).map { number in
                // In and out, and each with an article of its own.
                Movement(article: "article-\(number % max(articles, 1))", delta: number % 3 == 2 ? -1 : number % 7 + 1)
            })
        Program.say("producer: \(count) movements are in \(topic)")
    }

    /// Status 1 until as many movements are applied as expected, and when something is wrong with them.
    private static func audit(
        _ cluster: Cluster, _ topic: String, _ journals: [Journal], expecting count: Int
    ) async throws {
        var audit = Audit()
        for journal in journals {
            let reader = try MovementReader(
                brokers: cluster.brokers.joined(separator: ","), topic: topic, partition: journal.shard, from: 0)
            let end = try reader.end()
            var written: [Entry] = []
            while (written.last?.offset ?? -1) < end - 1 { written += try await reader.next() }
            audit.add(try journal.lines(), shard: journal.shard, written: written)
        }
        Program.say(try audit.verdict(expecting: count))
    }
}

/// The address of the cluster and the name of its lock topic: `kafka://host:port,host:port/topic`, in plain text.
struct Cluster {
    let brokers: [String]
    let topic: String

    init(_ uri: String) throws {
        let parts = uri.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0] == "kafka:", parts[1].isEmpty, !parts[2].isEmpty, !parts[3].isEmpty else {
            throw ExampleError("the broker has to be kafka://host:port,host:port/topic, in plain text")
        }
        (brokers, topic) = (parts[2].split(separator: ",").map(String.init), parts[3])
    }
}
