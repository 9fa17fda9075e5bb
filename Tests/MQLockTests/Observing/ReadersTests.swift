import MQLock
import Testing

/// Streams of events that nobody reads any more.
@Suite struct ReadersTests {
    @Test func whoHasGoneIsForgottenAndEverybodyElseIsReported() async {
        var readers = Readers<Int>()
        let kept = readers.add(beginningWith: [0])
        for _ in 0..<1000 { _ = readers.add() }
        #expect(readers.count <= 2)
        readers.tell(1)
        #expect(readers.count == 1)
        readers.tell(2)
        readers.finish()
        var seen: [Int] = []
        for await event in kept { seen.append(event) }
        #expect(seen == [0, 1, 2])
        #expect(readers.count == 0)
    }

    /// The newest are kept for whoever does not keep up.
    @Test func aSlowReaderMissesTheOldest() async {
        var readers = Readers<Int>()
        let slow = readers.add()
        for number in 0..<5000 { readers.tell(number) }
        readers.finish()
        var seen: [Int] = []
        for await event in slow { seen.append(event) }
        #expect(seen == Array(3976..<5000))
    }
}
