import ExamplesShared
import Foundation
import MQLock
import MQLockRabbitMQ

@main
struct OutboxRelay {
    static func main() async {
        await Program.run {
            let options = try Options(
                flags: ["stand-still", "audit"], known: ["broker", "name", "outbox", "queue", "fill", "expect"])
            let outbox = try Outbox(directory: options.text("outbox", default: "outbox"))
            let queue = options.text("queue", default: "outbox")
            if options.has("fill") {
                try outbox.fill(options.number("fill", default: 0))
            } else if options.has("audit") {
                try await Audit(outbox: outbox, queue: queue).run(
                    BrokerAddress(options.broker), expecting: options.number("expect", default: 0))
            } else {
                try await relay(outbox, queue, options)
            }
        }
    }

    private static func relay(_ outbox: Outbox, _ queue: String, _ options: Options) async throws {
        let name = options.text("name", default: "relay-\(ProcessInfo.processInfo.processIdentifier)")
        let locks = try RabbitMQLocks(.init(uri: options.broker))
        // One leader for each outbox.
        let election = try LeaderElection(LockName("outbox-relay/\(queue)"), on: locks)
        let relay = Relay(
            name: name, outbox: outbox, publisher: try QueuePublisher(BrokerAddress(options.broker), queue),
            standsStill: options.has("stand-still"))
        let events = election.events
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await locks.run() }
            group.addTask { try await election.run { try await relay.lead($0) } }
            group.addTask {
                for await event in events {
                    switch event.kind {
                    case .campaigning: Program.say("\(name): campaigns")
                    case .ended: Program.say("\(name): leads no more: \(event.end?.description ?? "")")
                    default: break
                    }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
