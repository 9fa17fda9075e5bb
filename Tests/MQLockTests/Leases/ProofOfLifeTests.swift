import MQLock
import MQLockTesting
import Testing

@Suite struct ProofOfLifeTests {
    private enum Step: CaseIterable { case pass, extendShort, extendLong, end, look }

    /// Every sequence of up to six steps, against a model that looks all the time.
    @Test func onceEndedNeverAliveAgain() {
        for length in 1...6 {
            for number in 0..<Int(pow(Step.allCases.count, length)) {
                var rest = number
                let steps = (0..<length).map { _ in
                    defer { rest /= Step.allCases.count }
                    return Step.allCases[rest % Step.allCases.count]
                }
                check(steps)
            }
        }
    }

    private func pow(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { power, _ in power * base } }

    private func check(_ steps: [Step]) {
        let clock = ManualClock()
        let proof = ProofOfLife(until: clock.now.advanced(by: .seconds(2)), clock: clock)
        var until: ContinuousClock.Instant? = clock.now.advanced(by: .seconds(2))
        for step in steps {
            switch step {
            case .pass: clock.advance(by: .seconds(1))
            case .extendShort: extend(.seconds(1))
            case .extendLong: extend(.seconds(3))
            case .end:
                proof.end()
                until = nil
            case .look: #expect(proof.isAlive == (until != nil))
            }
            if let end = until, end <= clock.now { until = nil }
        }
        let left = until.map { clock.now.duration(to: $0) } ?? .zero
        #expect(proof.remaining == left && proof.isAlive == (until != nil), "\(steps)")
        #expect(proof.provenUntil == until, "\(steps)")

        func extend(_ duration: Duration) {
            let instant = clock.now.advanced(by: duration)
            let isExtended = proof.extend(to: instant)
            #expect(isExtended == (until != nil), "\(steps)")
            if let end = until { until = max(end, instant) }
        }
    }

    @Test func validityEndsAtTheInstantItself() {
        let clock = ManualClock()
        let proof = ProofOfLife(until: clock.now.advanced(by: .seconds(1)), clock: clock)
        clock.advance(by: .seconds(1) - .nanoseconds(1))
        #expect(proof.remaining == .nanoseconds(1))
        clock.advance(by: .nanoseconds(1))
        #expect(!proof.isAlive)
        #expect(!proof.extend(to: clock.now.advanced(by: .seconds(5))))
    }

    @Test func readersOfManyThreadsNeverSeeItComeBack() async {
        let clock = ManualClock()
        let proof = ProofOfLife(until: clock.now.advanced(by: .milliseconds(500)), clock: clock)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var hasEnded = false
                    for _ in 0..<5000 {
                        let isAlive = proof.isAlive
                        #expect(!(hasEnded && isAlive))
                        hasEnded = !isAlive
                    }
                }
                group.addTask {
                    for _ in 0..<1000 {
                        clock.advance(by: .microseconds(Int.random(in: 0...600)))
                        proof.extend(to: clock.now.advanced(by: .microseconds(300)))
                    }
                }
            }
        }
        proof.end()
        #expect(!proof.isAlive)
    }
}
