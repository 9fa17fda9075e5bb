import Foundation
import Testing

extension TortureTests {
    /// What can go wrong, with every mutex: see the article *Faults*.
    @Suite struct FaultTests {}
}

/// The broker itself goes.
extension TortureTests.FaultTests {
    /// RabbitMQ 3.10.8 forgets the log of a quorum queue that it declared less than a second or so before it is killed:
    /// the queue comes back without a leader, and nothing about it is ever answered again. No event tells when it is safe.
    static func outliveYoungQueues() async throws { try await Task.sleep(for: .seconds(2)) }

    @Test func brokerKilled() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.brokerKilled, on: node.broker) { stages in
            try await Self.outliveYoungQueues()
            stages.strike()
            try await node.crash()
            try await stages.each { try await $0.holderIsNotified() }
            try await node.start()
            try await stages.each { try await $0.waiterIsServed() }
        }
    }

    @Test func brokerStopped() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.brokerStopped, on: node.broker, .init(strikesWaiterToo: true)) { stages in
            try await node.stop()
            try await stages.each { try await $0.holderIsNotified() }
            try await node.start()
            try await stages.each { try await $0.waiterIsServedAtOnce() }
        }
    }

    @Test func brokerFrozen() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.brokerFrozen, on: node.broker) { stages in
            node.signal(SIGSTOP)
            defer { node.signal(SIGCONT) }
            try await stages.each { try await $0.holderIsNotified() }
            node.signal(SIGCONT)
            try await stages.each { try await $0.waiterIsServed() }
        }
    }

    @Test func dataLost() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.dataLost, on: node.broker) { stages in
            try await node.crash()
            try await stages.each { try await $0.holderIsNotified() }
            try node.loseData()
            try await node.start()
            try await stages.each { try await $0.waiterIsServed() }
        }
    }
}
