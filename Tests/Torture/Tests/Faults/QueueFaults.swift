import MQLock
import Testing

@testable import MQLockRabbitMQ

/// An operator or a foreign program lays hands on the lock's queues.
extension TortureTests.FaultTests {
    @Test(arguments: [Fault.queueDeleted, .allQueuesDeleted]) func deleted(_ fault: Fault) async throws {
        let node = try await PrivateNode.shared()
        // One after the other: who has been served meanwhile may lose the lock by the next one.
        try await strike(fault, on: node.broker, .init(strikesWaiterToo: fault == .allQueuesDeleted)) { stages in
            try await stages.each { stage in
                let queue = try stage.broker.objects(stage.name).queue
                stage.strike()
                if fault == .allQueuesDeleted {
                    // In one go: a register that is deleted a moment later may be the new one.
                    try await stage.broker.deleteQueues(with: String(queue.drop { $0 != "/" }))
                } else {
                    try await stage.broker.deleteQueue(queue)
                }
                try await stage.holderIsNotified()
                try await stage.waiterIsServedAtOnce()
            }
        }
    }

    /// What is held is not in the queue, as far as a purge goes.
    @Test func purgedWhileHeld() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.purgedWhileHeld, on: node.broker) { stages in
            try await stages.each { stage in
                try await stage.broker.ctl("purge_queue", try stage.broker.objects(stage.name).queue)
                try await stage.holderKeeps(for: .seconds(2))
                stage.strike()
                try await stage.holderReleases()
                try await stage.waiterIsServed("next, at the release")
            }
        }
    }

    @Test func purgedWhileFree() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.purgedWhileFree, on: node.broker) { stages in
            try await stages.each { stage in
                let queue = try stage.broker.objects(stage.name).queue
                try await stage.holderReleases()
                try await stage.waiterIsServed()
                #expect(try await stage.waiter.release() == nil)
                try await eventually(every: .milliseconds(50), "nobody in line for \(stage.name)") {
                    try await stage.broker.lines().count(for: stage.name) == 0
                }
                _ = try? await stage.broker.ctl("purge_queue", queue)
                stage.note {
                    ($0.holder, $0.waiter, $0.afterwards) = ("–", "–", "may be out of order")
                    $0.waiterHeld = nil
                }
            }
        }
    }

    @Test func garbage() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.garbage, on: node.broker) { stages in
            try await stages.each { stage in
                let bodies: [[UInt8]] = [
                    [], Array("hello".utf8), [0, 255, 254, 0, 13, 10], [UInt8](repeating: 120, count: 3_000_000),
                    Array("mqlock.v1 token 99999999999999999999999999 \(Nonce())".utf8),
                    Array("mqlock.v2 token 1 \(Nonce())".utf8), Array("mqlock.v1 sac -1 \(Nonce())".utf8),
                ]
                try stage.publish(bodies)
                try await stage.holderKeeps(for: .seconds(2))
                stage.strike()
                try await stage.holderReleases()
                try await stage.waiterIsServed("next, at the release")
            }
        }
    }

    /// Each mutex is given the tokens of all: its own kind, well formed, with numbers above the holder's.
    @Test func foreignTokens() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.foreignTokens, on: node.broker) { stages in
            try await stages.each { stage in
                let number = try stage.lease.fencingToken.rawValue + 64 * TokenNumber.step
                try stage.publish(
                    ["token", "line", "proof"].map { MessageText($0, number, Nonce()).payload })
                try await Task.sleep(for: .seconds(2))
                if try stage.lease.isValid {
                    try await stage.holderKeeps(for: .seconds(1))
                    stage.strike()
                    try await stage.holderReleases()
                    try await stage.waiterIsServed("next, at the release")
                } else {
                    try await stage.holderIsNotified()
                    try await stage.waiterIsServedAtOnce()
                }
            }
        }
    }
}

extension Stage {
    fileprivate func publish(_ bodies: [[UInt8]]) throws {
        let queue = try broker.objects(name).queue
        try broker.raw { client in for body in bodies { try client.publish(body, to: queue) } }
    }
}
