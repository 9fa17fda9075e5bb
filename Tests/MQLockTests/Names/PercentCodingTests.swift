import MQLock
import Testing

@Suite struct PercentCodingTests {
    @Test(
        arguments: [
            (.line, "a b/ö%\n\u{7f}", "a b/ö%25%0A%7F"), (.word, "a b/ö%\n", "a%20b/%c3%b6%25%0a"),
            (.uri, "a b/ö%~", "a%20b%2f%c3%b6%25~"), (.uri, "", ""),
        ] as [(PercentCoding, String, String)])
    func textsAreReadAsTheyAreWritten(coding: PercentCoding, text: String, encoded: String) {
        #expect(coding.encode(text) == encoded)
        #expect(coding.decode(encoded, .strict) == text)
        #expect(coding.decode(encoded, .lenient) == text)
    }

    /// Each has one form only: a lone or cut `%`, other digits, what need not or has to be encoded, and no UTF-8.
    @Test(arguments: ["%", "%0", "%0a", "%zz", "%41", "\n", "%25%", "%80", "%+1", "\u{7f}"])
    func strictReadingTakesNothingElse(text: String) { #expect(PercentCoding.line.decode(text, .strict) == nil) }

    @Test func lenientReadingTakesAnyByte() {
        #expect(PercentCoding.uri.decode("a%2F%2f%41/", .lenient) == "a//A/")
        #expect(PercentCoding.uri.bytes(of: "%ff%00", .lenient) == [0xFF, 0])
        for wrong in ["%", "a%2", "%g0", "%+1"] { #expect(PercentCoding.uri.bytes(of: wrong, .lenient) == nil) }
        #expect(PercentCoding.uri.decode("%ff", .lenient) == nil)
    }
}
