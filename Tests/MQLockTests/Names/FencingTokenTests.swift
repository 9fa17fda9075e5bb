import Foundation
import MQLock
import Testing

@Suite struct FencingTokenTests {
    @Test func tokensFitASignedColumn() {
        #expect(FencingToken(rawValue: UInt64(Int64.max))?.rawValue == 9_223_372_036_854_775_807)
        #expect(FencingToken(rawValue: 1 << 63) == nil)
        #expect(FencingToken(rawValue: .max) == nil)
    }

    @Test(arguments: [
        "", "00", "01", " 1", "1 ", "+1", "-1", "0x10", "1.0", "٣", "9223372036854775808", "99999999999999999999",
    ])
    func onlyPlainDecimalsAreRead(_ text: String) { #expect(FencingToken(text) == nil) }

    @Test(arguments: [0, 1, 42, UInt64(Int64.max)])
    func descriptionAndJSONRoundTrip(_ number: UInt64) throws {
        let token = try #require(FencingToken(rawValue: number))
        #expect(FencingToken(token.description) == token)
        #expect(try JSONDecoder().decode(FencingToken.self, from: JSONEncoder().encode(token)) == token)
    }

    @Test func jsonOutOfRangeIsRefused() {
        for text in ["9223372036854775808", "-1", "\"1\"", "null"] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(FencingToken.self, from: Data(text.utf8)) }
        }
    }

    @Test func tokensAreOrdered() throws {
        let tokens = [UInt64(7), 3, 5].compactMap(FencingToken.init(rawValue:))
        #expect(tokens.sorted().map(\.rawValue) == [3, 5, 7])
    }
}
