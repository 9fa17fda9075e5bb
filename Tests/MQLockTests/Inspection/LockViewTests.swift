import MQLock
import Testing

@Suite("Views of a lock")
struct LockViewTests {
    private func contender(
        _ role: LockContender.Role, _ seconds: Int, token: UInt64? = nil, place: Int? = nil
    ) -> LockContender {
        ControlMessageTests.contender {
            $0.role = role
            $0.duration = .seconds(seconds)
            $0.fencingToken = token.flatMap { FencingToken(rawValue: $0) }
            $0.place = place
        }
    }

    @Test("the longest waiter is next, unless the mutex knows the places")
    func order() {
        let waiters = [contender(.waiter, 1), contender(.waiter, 9), contender(.waiter, 5)]
        let view = LockView(name: "job", contenders: waiters, queue: .unknown)
        #expect(view.waiters.map(\.duration) == [.seconds(9), .seconds(5), .seconds(1)])
        let placed = [contender(.waiter, 9, place: 2), contender(.waiter, 1, place: 1), contender(.waiter, 99)]
        let known = LockView(name: "job", contenders: placed, queue: .unknown)
        #expect(known.waiters.map(\.place) == [1, 2, nil])
    }

    @Test("of two that say they hold, the larger token comes first")
    func holders() {
        let view = LockView(
            name: "job", contenders: [contender(.holder, 9, token: 32), contender(.holder, 1, token: 64)],
            queue: .unknown)
        #expect(view.holders.map(\.fencingToken?.rawValue) == [64, 32])
        #expect(view.state == .held)
    }

    @Test(
        "what the broker says tells a silent holder from a free lock",
        arguments: [
            (LockView.QueueView.missing, false, LockView.State.free), (.missing, true, .unclear),
            (.exclusive, false, .silent), (.taken, false, .silent), (.taken, true, .silent),
            (.counted(messages: 1, consumers: 0), false, .free), (.counted(messages: 0, consumers: 1), false, .silent),
            (.counted(messages: 0, consumers: 0), false, .free), (.counted(messages: 1, consumers: 1), true, .silent),
            (.counted(messages: 1, consumers: 0), true, .unclear), (.unknown, false, .unclear),
        ])
    func states(queue: LockView.QueueView, isWaitedFor: Bool, state: LockView.State) {
        let waiters = isWaitedFor ? [contender(.waiter, 1)] : []
        #expect(LockView(name: "job", contenders: waiters, queue: queue).state == state)
    }
}
