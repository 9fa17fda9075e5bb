import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 5 on the real broker: waits that end just when the grant is on its way.
    @Suite struct LiveInterleavingTests {}
}

extension LiveBrokerTests.LiveInterleavingTests {
    private struct Tally {
        var rounds = 0
        var granted = 0
        var cancelled = 0
        var timedOut = 0
        /// The lock could not be had afterwards.
        var leaked = false
    }

    /// A holder releases; a waiter of another connection is cancelled, or its deadline passes, at a generated instant
    /// around that. Stops at the first leak.
    private func play(rounds: Int) async throws -> Tally {
        let broker = try LiveBrokerTests.broker()
        return try await broker.withName { name in
            let holders = try broker.locks()
            let waiters = try broker.locks()
            let seed = TestSeed.next()
            print("interleavings: MQLOCK_SEED=\(seed)")
            var generator = SeededGenerator(seed)
            var tally = Tally()
            // Both sessions are up and the name is prepared in both before it begins.
            for locks in [holders, waiters] {
                let held = try await locks.acquire(name, within: .seconds(20))
                try await held.release()
            }
            var last: FencingToken?
            // The longest wait in microseconds: about a third of the waits end with a grant, also on a busy machine.
            var longest = 4000.0
            for _ in 0..<rounds {
                tally.rounds += 1
                let holder = Contender(holders, name, within: .seconds(20))
                guard let lease = try? await holder.lease() else {
                    tally.leaked = true
                    break
                }
                #expect(last.map { lease.fencingToken > $0 } ?? true)
                last = lease.fencingToken
                func delay(_ range: ClosedRange<Int64>) -> Duration {
                    .microseconds(Int64.random(in: range, using: &generator))
                }
                let usesDeadline = Bool.random(using: &generator)
                let waiter = Contender(waiters, name, within: usesDeadline ? delay(0...Int64(longest)) : nil)
                let (beforeRelease, beforeCancel) = (delay(0...2500), delay(0...Int64(longest)))
                let releasing = Task {
                    try await Self.pause(beforeRelease)
                    return try await holder.release()
                }
                if !usesDeadline {
                    try await Self.pause(beforeCancel)
                    waiter.cancel()
                }
                let error = try await waiter.failure()
                longest = min(max(longest * (error == nil ? 0.99 : 1.005), 1000), 200_000)
                switch error?.code {
                case nil: tally.granted += 1
                case .cancelled?: tally.cancelled += 1
                case .timedOut?: tally.timedOut += 1
                case let code?: Issue.record("unexpected: \(code)")
                }
                if waiter.released.current == nil { #expect(try await waiter.release() == nil) }
                #expect(try await releasing.value == nil)
            }
            if !tally.leaked {
                let held = try await holders.acquire(name, within: .seconds(10))
                try await held.release()
            }
            await waiters.shutdown(within: .zero)
            await holders.shutdown(within: .zero)
            return tally
        }
    }

    /// `Task.sleep` is too coarse for what happens within a millisecond.
    private static func pause(_ duration: Duration) async throws {
        let end = ContinuousClock.now.advanced(by: duration)
        if duration > .milliseconds(2) { try await Task.sleep(for: duration - .milliseconds(2)) }
        while ContinuousClock.now < end { await Task.yield() }
    }

    @Test func nothingLeaks() async throws {
        let tally = try await play(rounds: LiveBroker.isFullRun ? 10_000 : 3000)
        print("interleavings on the broker: \(tally)")
        #expect(!tally.leaked)
        // Else the instants are off and the test has tested nothing.
        #expect(tally.granted > tally.rounds / 20)
        #expect(tally.cancelled > tally.rounds / 20)
        #expect(tally.timedOut > tally.rounds / 20)
    }
}
