import Foundation
import MQLock
import MQLockTesting
import Testing

/// An observer that blocks delays nobody but itself.
@Suite(.timeLimit(.minutes(1))) struct SlowObserverTests {
    /// Blocks in every event until it is let go.
    final class Blocker: LockObserver {
        private let state = Locked((isOpen: false, events: [LockEvent]()))
        private let gate = DispatchSemaphore(value: 0)

        func observe(_ event: LockEvent) {
            state.withLock { $0.events.append(event) }
            guard !state.withLock({ $0.isOpen }) else { return }
            gate.wait()
            gate.signal()
        }

        func open() {
            state.withLock { $0.isOpen = true }
            gate.signal()
        }

        var events: [LockEvent] { state.withLock { $0.events } }
    }

    /// With more blocked observers than there are processors. The clock stands still: what took any time at all would
    /// never come.
    @Test func handOversGoOnWhileAllObserversAreBlocked() async throws {
        let clock = ManualClock()
        let broker = InMemoryBroker(clock: clock)
        let blockers = (0..<ProcessInfo.processInfo.activeProcessorCount * 2 + 2).map { _ in Blocker() }
        let metrics = LockMetrics(clock: clock)
        let tap = Tap(metrics)
        let observer = LockObserverGroup([tap, LockObserverGroup(blockers, capacity: 8)])
        let clients = (0..<2).map { _ in InMemoryLocks(broker, observer: observer) }
        var held = try await clients[0].acquire("name")
        for turn in 1...200 {
            let next = clients[turn % 2]
            let waiting = Task { try await Grant(next.acquire("name")) }
            while broker.contenders(for: "name") < 2 { await Task.yield() }
            try await held.release()
            held = try await waiting.value.take()
        }
        try await held.release()
        await tap.seen { $0.filter { $0.kind == .released }.count == 201 }
        #expect(tap.events.allSatisfy { $0.waited ?? .zero == .zero && $0.handOver ?? .zero == .zero })
        let page = try PrometheusPage(metrics.prometheusText())
        #expect(page.total("mqlock_grants_total") == 201 && page.total("mqlock_events_dropped_total") == 0)
        #expect(blockers.allSatisfy { $0.events.count <= 1 })
        for blocker in blockers { blocker.open() }
        // The one in its hands and those in line.
        for blocker in blockers { await eventually { blocker.events.count == 9 } }
        // When the first event after the drops has come, all are accounted for.
        _ = try await clients[0].tryAcquire("last")
        await tap.seen { $0.contains { $0.name == "last" && $0.kind == .leaked } }
        let sent = tap.events.count
        for blocker in blockers {
            await eventually {
                blocker.events.count + blocker.events.reduce(0) { $0 + $1.droppedBefore } == sent
            }
            #expect(blocker.events.reduce(0) { $0 + $1.droppedBefore } > 300)
            #expect(blocker.events.last?.locksHeld == 0, "right again, whatever was dropped")
        }
    }

    /// Carries a held lock out of a task.
    private final class Grant: @unchecked Sendable {
        private var held: HeldLock?
        init(_ held: consuming HeldLock) { self.held = consume held }
        func take() -> HeldLock { held.take()! }
    }
}
