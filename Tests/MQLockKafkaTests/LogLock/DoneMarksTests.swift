import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// The fold: what is kept of what has been done under the names.
@Suite struct DoneMarksTests {
    private func numbers(_ marks: DoneMarks, _ name: LockName = "n") -> [Int64] { marks.marks(of: name).map(\.began) }

    /// In whatever order they come, and in the same order in every reader.
    @Test func thoseWithTheLargestTokensAreKept() {
        var random = SeededGenerator(TestSeed.next())
        let texts = (1...20 as ClosedRange<UInt64>).map { DoneText.number($0) }
        for count in [1, 7, 8, 9, 20] {
            var states: Set<DoneMarks> = []
            for _ in 0..<20 {
                var marks = DoneMarks()
                for text in texts.prefix(count).shuffled(using: &random) { marks.keep(text, of: "n") }
                #expect(numbers(marks) == Array(Int64(max(1, count - 7))...Int64(count)))
                states.insert(marks)
            }
            #expect(states.count == 1)
        }
        #expect(DoneMarks.perName >= DoneMark.kept)
    }

    @Test func amongThoseWithTheSameTokenTheirBytesDecide() {
        var random = SeededGenerator(TestSeed.next())
        let texts = (1...12 as ClosedRange<UInt64>).map { DoneText.number($0, token: 7) }
        var states: Set<DoneMarks> = []
        for _ in 0..<20 {
            var marks = DoneMarks()
            for text in texts.shuffled(using: &random) { marks.keep(text, of: "n") }
            states.insert(marks)
        }
        #expect(states.count == 1)
    }

    /// By the same request, or by a second one.
    @Test func aMarkThatIsWrittenTwiceCountsOnce() {
        var marks = DoneMarks()
        for number in 1...8 as ClosedRange<UInt64> { marks.keep(.number(number), of: "n") }
        let before = marks
        marks.keep(.number(8), of: "n")
        marks.keep(.number(8, nonce: RandomID(high: 9, low: 9)), of: "n")
        marks.keep(.number(0), of: "n")
        #expect(marks == before && numbers(marks) == Array(1...8))
        marks.keep(.number(9, token: 8), of: "n")
        #expect(numbers(marks) == Array(2...9))
    }

    /// So that whoever writes cannot make the state larger than any program can bear.
    @Test func theNameThatWasNotUsedForLongestIsForgotten() throws {
        var marks = DoneMarks()
        for number in 1...UInt64(DoneMarks.names) {
            marks.keep(.number(number + 10), of: try LockName("n\(number)"))
        }
        // The first is used again.
        marks.keep(.number(5000), of: "n1")
        marks.keep(.number(5001), of: "new")
        #expect(marks.texts.count == DoneMarks.names)
        #expect(marks.texts["n2"] == nil && numbers(marks, "n1") == [11, 5000] && numbers(marks, "new") == [5001])
        // One that is older than all others goes itself.
        let before = marks
        marks.keep(.number(1), of: "old")
        #expect(marks == before)
    }

    /// A program that reads more has no other state than one that reads less.
    @Test func whatALaterVersionWritesIsKept() throws {
        let text = DoneText.number(3)
        let later = String(decoding: text.bytes, as: UTF8.self).replacing("completed", with: "postponed")
        var marks = DoneMarks()
        marks.keep(try #require(DoneText(token: 3, Array(later.utf8))), of: "n")
        #expect(marks.texts["n"]?.count == 1 && marks.marks(of: "n").isEmpty)
        // Neither is one that stands in the wrong place.
        marks.keep(try #require(DoneText(token: 4, text.bytes)), of: "n")
        #expect(marks.texts["n"]?.count == 2 && marks.marks(of: "n").isEmpty)
        marks.keep(text, of: "n")
        #expect(numbers(marks) == [3])
    }

    @Test func whatCannotBeAMarkIsNone() {
        let bytes = DoneText.number(3).bytes
        let head = "mqlock.v1 done 00112233445566778899aabbccddeef"
        #expect(DoneText(token: 3, bytes) != nil)
        #expect(DoneText(token: FencingToken.maximum + 1, bytes) == nil)
        #expect(DoneText(token: 3, bytes + [UInt8](repeating: 0x61, count: 8193 - bytes.count)) == nil)
        for text in ["", "mqlock.v1 done ", head, head + "f", head + "f\n", head + "F\nx", head + "\nxx", "x" + head] {
            #expect(DoneText(token: 3, Array(text.utf8)) == nil, "\(text)")
        }
    }

    /// A chunk that has more of them than a table can have is of no table.
    @Test func aSnapshotHasNoMarkTwiceAndNoneTooMany() {
        let id = RandomID(high: 0, low: 1)
        for numbers in [[1, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9]] as [[UInt64]] {
            var table = LockTable(asOf: 5, highest: 1)
            let results = numbers.map { table.restore(.number($0), of: "n") }
            #expect(results == numbers.dropLast().map { _ in true } + [false])
        }
        var table = LockTable(next: 0)
        _ = table.apply(.foreign(.open(id, ttl: .seconds(5), partitions: 1, owner: "o")))
        for number in 1...9 as ClosedRange<UInt64> {
            for name in ["a", "b"] as [LockName] { _ = table.apply(.foreign(.done(id, name, .number(number)))) }
        }
        // Of a name, its marks come in several chunks.
        let chunks = LogSnapshot.chunks(of: table, id: id, size: 1)
        #expect(chunks.count == 2 * 8 + 2)
        #expect(LogSnapshot.table(chunks[0].name, chunks) == table)
    }
}

extension DoneText {
    /// A mark that says this number, and was written under a token of that number if there is no other.
    static func number(_ number: UInt64, token: UInt64? = nil, nonce: RandomID? = nil) -> Self {
        Self(.number(number, token: token), nonce ?? RandomID(high: 0, low: number))
    }
}

extension DoneMark {
    static func number(_ number: UInt64, token: UInt64? = nil) -> Self {
        Self(
            period: "key \(number)", began: Int64(number), ended: Int64(number), owner: "o",
            fencingToken: FencingToken(rawValue: token ?? number)!)
    }
}
