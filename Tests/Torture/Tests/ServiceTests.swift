import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// A service with a hundred held locks, a hundred waiters and a leader, which is told to end.
    @Suite(.serialized) struct ServiceTests {}
}

extension TortureTests.ServiceTests {
    /// What the worker is given to drain is three seconds; the rest is for a machine that is busy.
    private static let deadline = Duration.seconds(15)

    @Test func aTerminatedServiceReleasesEverything() async throws {
        let node = try await PrivateNode.shared()
        try await withService(100, on: node) { service, prefix, others in
            let start = ContinuousClock.now
            service.signal(SIGTERM)
            _ = try await service.line("stopped", within: Self.deadline)
            let took = start.duration(to: .now)
            #expect(try await service.status() == 0)
            // All of it is free, at once.
            let again = ContinuousClock.now
            for name in try Self.names(prefix, "held") + [LockName("\(prefix)/leader")] {
                guard let held = try await others.tryAcquire(name) else {
                    Issue.record("\(name) is still held")
                    continue
                }
                try await held.release()
            }
            print("service: ended after \(took), taken again in \(again.duration(to: .now))")
            #expect(service.lines.count { $0.first == "down" } == 100)
            #expect(service.lines.count { $0.first == "over" && $0[1] != "lost" } == 100)
        }
    }

    @Test func aServiceOnAFrozenBrokerEndsByItsDeadline() async throws {
        let node = try await PrivateNode.shared()
        // Its size plays no part here, and takes long to set up.
        try await withService(LiveBroker.isFullRun ? 100 : 20, on: node) { service, _, _ in
            node.signal(SIGSTOP)
            defer { node.signal(SIGCONT) }
            let start = ContinuousClock.now
            service.signal(SIGTERM)
            _ = try await service.line("stopped", within: Self.deadline)
            print("service on a frozen broker: ended after \(start.duration(to: .now))")
            #expect(try await service.status() == 0)
        }
    }

    private static func names(_ prefix: String, _ kind: String, _ size: Int = 100) throws -> [LockName] {
        try (0..<size).map { try LockName("\(prefix)/\(kind)/\($0)") }
    }

    private func withService(
        _ size: Int, on node: PrivateNode, _ body: (WorkerProcess, String, RabbitMQLocks) async throws -> Void
    ) async throws {
        let prefix = "service/\(UInt64.random(in: 0 ... .max))"
        let others = try node.broker.locks("heartbeat=10", mutex: .singleActiveConsumer)
        let busy = try Self.names(prefix, "busy", size).map { Contender(others, $0) }
        for contender in busy { _ = try await contender.lease() }
        let service = try WorkerProcess(
            "serve", "\(node.broker.uri)?heartbeat=10", prefix, "sac",
            environment: ["SERVICE_SIZE": "\(size)"])
        try await eventually(within: .seconds(60), "all held locks and a leader") {
            service.lines.count { $0.first == "up" } == size + 1
        }
        try await body(service, prefix, others)
        for contender in busy { contender.cancel() }
        await others.shutdown(within: .zero)
        let all =
            try Self.names(prefix, "busy", size) + Self.names(prefix, "held", size) + [LockName("\(prefix)/leader")]
        node.broker.clean(all)
    }
}
