import Foundation
import MQLock
import Testing

@Suite(.timeLimit(.minutes(1))) struct ObserverRelayTests {
    private func event(_ number: Int) -> LockEvent {
        LockEvent(.waiting, at: .now, name: "name", owner: String(number))
    }

    @Test func eventsComeInOrder() async {
        let events = Events()
        let relay = ObserverRelay(events)
        for number in 0..<1000 { relay.send(event(number)) }
        await eventually { events.all.count == 1000 }
        #expect(events.all.map(\.owner) == (0..<1000).map(String.init))
        #expect(events.all.allSatisfy { $0.droppedBefore == 0 })
    }

    /// Takes nothing until told; `observe` is allowed to be as slow as it likes.
    private final class SlowObserver: LockObserver {
        let gate = DispatchSemaphore(value: 0)
        let seen = Locked<[LockEvent]>([])

        func observe(_ event: LockEvent) {
            gate.wait()
            seen.withLock { $0.append(event) }
        }
    }

    @Test func aSlowObserverBlocksNobodyAndLearnsWhatItMissed() async {
        let slow = SlowObserver()
        let relay = ObserverRelay(slow, capacity: 4)
        for number in 0..<100 { relay.send(event(number)) }
        // The buffer and, if it was taken out early enough, the one in the observer's hands.
        for _ in 0..<100 { slow.gate.signal() }
        await eventually { slow.seen.withLock { $0.count } >= 4 }
        var sent = 100
        while slow.seen.withLock({ $0.last?.droppedBefore }) == 0 {
            slow.gate.signal()
            relay.send(event(sent))
            sent += 1
            await Task.yield()
        }
        let seen = slow.seen.withLock { $0 }
        let dropped = seen.map(\.droppedBefore).reduce(0, +)
        #expect(dropped >= 90 && seen.count + dropped <= sent)
        #expect(seen.map { Int($0.owner)! } == seen.map { Int($0.owner)! }.sorted())
    }

    @Test func withoutAnObserverNothingIsMade() {
        let relay = ObserverRelay(nil)
        #expect(!relay.isActive)
        relay.send(Self.never())
    }

    private static func never() -> LockEvent { preconditionFailure("an event was made for nobody") }
}
