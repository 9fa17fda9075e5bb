import MQLockTesting
import Testing

@testable import MQLock

/// The mark as a text of the protocol: other programs write it, too.
@Suite(.timeLimit(.minutes(1))) struct DoneMarkTests {
    private static let nonce = "00112233445566778899aabbccddeeff"
    private static let head = "mqlock.v1 done \(nonce)\n"

    /// As the article *The protocol* has them.
    private static let vectors: [(String, DoneMark)] = [
        (
            head + """
                began 1796007600123
                ended 1796007725456
                fence 4294967297
                outcome completed
                owner web-1/4711
                period day@Europe/Berlin
                start 1795993200000

                """,
            DoneMark(
                period: "day@Europe/Berlin", start: 1_795_993_200_000, began: 1_796_007_600_123,
                ended: 1_796_007_725_456,
                owner: "web-1/4711", fencingToken: FencingToken(rawValue: 4_294_967_297)!)
        ),
        (
            head
                + "began 0\nended 1125899906842624\nfence 9223372036854775807\noutcome failed\nowner \nperiod a%0Ab %25\nstatus 255\n",
            DoneMark(
                period: "a\nb %", began: 0, ended: 1 << 50, owner: "",
                fencingToken: FencingToken(rawValue: FencingToken.maximum)!,
                outcome: .failed, exitStatus: 255)
        ),
    ]

    @Test func marksHaveOneText() throws {
        let nonce = try #require(RandomID(Self.nonce))
        for (text, mark) in Self.vectors {
            #expect(String(decoding: mark.text(nonce).payload, as: UTF8.self) == text)
            #expect(ControlText(payload: Array(text.utf8)).flatMap(DoneMark.init) == mark)
        }
    }

    @Test func whatALaterVersionAddsIsSkipped() throws {
        let (text, mark) = Self.vectors[0]
        #expect(DoneMark(try #require(ControlText(payload: Array((text + "zone x\n").utf8)))) == mark)
    }

    /// Anything that a mark has to have, left out or spoiled.
    @Test(
        arguments: [
            ("began", nil), ("began", "-1"), ("began", "01"), ("began", "1125899906842625"), ("began", "x"),
            ("ended", nil), ("ended", ""),
            ("fence", nil), ("fence", "9223372036854775808"), ("outcome", nil), ("outcome", "done"), ("owner", nil),
            ("period", nil),
            ("period", ""), ("start", "x"), ("start", "-1"), ("status", "-1"), ("status", "2147483648"),
            ("status", "1 "),
        ] as [(String, String?)])
    func aMarkIsWholeOrNone(_ field: String, _ value: String?) throws {
        var text = try #require(ControlText(payload: Array(Self.vectors[0].0.utf8)))
        #expect(DoneMark(text) != nil)
        text.fields[field] = value
        #expect(DoneMark(text) == nil)
    }

    @Test func otherWordsAreNoMarks() throws {
        let text = Self.vectors[0].0.dropFirst("mqlock.v1 done".count)
        #expect(DoneMark(try #require(ControlText(payload: Array("mqlock.v1 here\(text)".utf8)))) == nil)
    }

    @Test func whateverIsReadIsWrittenAgain() async {
        let fault = await Fuzzing.firstFault(
            in: "marks", examples: Self.vectors.map(\.0), words: ["began ", "start ", "status ", "failed", "\n"]
        ) { bytes in
            guard let text = ControlText(payload: bytes), let mark = DoneMark(text), let nonce = RandomID(text.question)
            else {
                return .refused
            }
            let again = mark.text(nonce)
            let isWhole = text.fields.values.allSatisfy { $0.utf8.count <= ControlText.maximumValue / 3 }
            return DoneMark(again) == mark && (!isWhole || ControlText(payload: again.payload) == again)
                ? .read : .wrong("another mark")
        }
        #expect(fault == nil)
    }
}
