import Foundation
import MQLock
import MQLockKafka
import MQLockLineReader

/// A member that is a `ShardOwnership`.
struct OwnMember {
    private let ownership: ShardOwnership

    init(_ place: Place) throws {
        var configuration = ShardOwnership.Configuration(
            connection: KafkaConnection(brokers: place.brokers.split(separator: ",").map(String.init)),
            topic: place.topic.name, partitions: place.topic.shards)
        configuration.session = .milliseconds(place.session)
        ownership = try ShardOwnership(configuration)
    }

    func run() async throws {
        let events = ownership.events
        Sighting(.joins).tell()
        let running = Task { [ownership] in try await ownership.run() }
        Thread.detachNewThread {
            for _ in LineReader() {}
            running.cancel()
        }
        for await event in events {
            switch event.kind {
            case .owned, .regained: Sighting(.owned, event.shard ?? -1).tell()
            case .interrupted, .lost: Sighting(.ended, event.shard ?? -1).tell()
            case .released where event.reason?.kind == .shutdown: Sighting(.ended, event.shard ?? -1).tell()
            case .warning: FileHandle.standardError.write(Data("\(event.reason?.detail ?? "")\n".utf8))
            default: break
            }
        }
        try await running.value
    }
}
