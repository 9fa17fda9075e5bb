import Testing

@testable import MQLockRabbitMQ

@Suite("Timer queue")
struct TimerQueueTests {
    private let start = ContinuousClock.now

    @Test func firesInOrderOfDeadlineThenOfArrival() {
        var queue = TimerQueue()
        var fired: [String] = []
        var expected: [(Int, Int)] = []
        var generator = SystemRandomNumberGenerator()
        for number in 0..<5000 {
            let delay = Int.random(in: 0..<300, using: &generator)
            expected.append((delay, number))
            _ = queue.add(at: start + .milliseconds(delay)) { fired.append("\(delay) \(number)") }
        }
        let mark = queue.mark
        let early = queue.popDue(at: start - .seconds(1), before: mark)
        #expect(early == nil)
        while let body = queue.popDue(at: start + .seconds(1), before: mark) { body() }
        #expect(fired == expected.sorted { $0 < $1 }.map { "\($0.0) \($0.1)" })
        let next = queue.nextDeadline()
        #expect(queue.count == 0 && next == nil)
    }

    @Test func cancelledTimersNeverFireAndCostNoMemory() {
        var queue = TimerQueue()
        var fired = 0
        var kept: [TimerID] = []
        for round in 0..<100_000 {
            let timer = queue.add(at: start + .seconds(round % 97)) { fired += 1 }
            if round % 1000 == 0 { kept.append(timer) } else { queue.cancel(timer) }
        }
        #expect(queue.count == 100)
        #expect(queue.entryCount < 300)
        let first = queue.cancel(kept[7])
        let second = queue.cancel(kept[7])
        #expect(first && !second)
        while let body = queue.popDue(at: start + .seconds(100), before: queue.mark) { body() }
        #expect(fired == 99)
    }

    @Test func whatIsAddedAfterTheMarkWaits() {
        var queue = TimerQueue()
        _ = queue.add(at: start) {}
        let mark = queue.mark
        _ = queue.add(at: start) {}
        _ = queue.popDue(at: start, before: mark)
        #expect(queue.count == 1)
        let before = queue.popDue(at: start, before: mark)
        let after = queue.popDue(at: start, before: queue.mark)
        #expect(before == nil && after != nil)
    }
}
