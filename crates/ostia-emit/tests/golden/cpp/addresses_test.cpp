/* Self-test of addresses.hpp: 20 of 20 keys, 281 foreign keys. Exit code 0 when all is well. */
#include "addresses.hpp"

#include <cstdio>

namespace addresses_test {

constexpr std::uint64_t member_words[20] = {
    0x7FF610000000, 0x7FF610000140, 0x7FF610000500, 0x7FF610000B40, 0x7FF610001400, 0x7FF610001F40,
    0x7FF610002D00, 0x7FF610003D40, 0x7FF610005000, 0x7FF610006540, 0x7FF610007D00, 0x7FF610009740,
    0x7FF61000B400, 0x7FF61000D340, 0x7FF61000F500, 0x7FF610011940, 0x7FF610014000, 0x7FF610016940,
    0x7FF610019500, 0x7FF61001C340,
};

constexpr addresses::key_type member_key(std::size_t i)
{
    return static_cast<addresses::key_type>(member_words[i]);
}

constexpr std::uint16_t values[] = {
    0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000, 13000, 14000, 15000, 16000,
    17000, 18000, 19000,
};

inline bool is_value(const addresses::value_type &value, std::size_t i)
{
    return value == values[i];
}

constexpr std::uint64_t foreign_words[281] = {
    0x0, 0x7FF60FFFFFFF, 0x7FF610000001, 0x7FF61000013F, 0x7FF610000141, 0x7FF610000142, 0x7FF6100004FF,
    0x7FF610000501, 0x7FF610000504, 0x7FF610000B3F, 0x7FF610000B41, 0x7FF610000B48, 0x7FF6100013FF,
    0x7FF610001401, 0x7FF610001410, 0x7FF610001F3F, 0x7FF610001F41, 0x7FF610001F60, 0x7FF610002CFF,
    0x7FF610002D01, 0x7FF610002D40, 0x7FF610003D3F, 0x7FF610003D41, 0x7FF610003DC0, 0x7FF610004000,
    0x7FF610004FFF, 0x7FF610005001, 0x7FF610005100, 0x7FF61000653F, 0x7FF610006541, 0x7FF610006740,
    0x7FF610007900, 0x7FF610007CFF, 0x7FF610007D01, 0x7FF61000973F, 0x7FF610009741, 0x7FF610009F40,
    0x7FF61000A400, 0x7FF61000B3FF, 0x7FF61000B401, 0x7FF61000B500, 0x7FF61000D33F, 0x7FF61000D341,
    0x7FF61000F340, 0x7FF61000F4FF, 0x7FF61000F501, 0x7FF61001193F, 0x7FF610011941, 0x7FF610013FFF,
    0x7FF610014001, 0x7FF61001693F, 0x7FF610016941, 0x7FF6100194FF, 0x7FF610019501, 0x7FF610019940,
    0x7FF61001C33F, 0x7FF61001C341, 0x7FF610036940, 0x7FF610059500, 0x7FF61009C340, 0xD81C40F5E1C9DD,
    0x2432416F972D66A, 0x3AE2BECFD03E2F7, 0x51933C2E094EF84, 0x6843B98E425FC11, 0x7EF436EE7B7089E,
    0x95A4B44EB48152B, 0xAC5531AEED921B8, 0xC305AF0F26A2E45, 0xD9B62C6F5FB3AD2, 0xE737F07CBDD04AF,
    0xF066A9CF98C475F, 0xFDE86DDCF6E113C, 0x11498EB3D2FF1DC9, 0x12B49689D6902A56, 0x141F9E5FDA2136E3,
    0x158AA635DDB24370, 0x16F5AE0BC1434FFD, 0x1860B5E1C4D45C8A, 0x19CBBDB7C8656917, 0x1B36C58DCBF675A4,
    0x1CA1CD63CF878231, 0x1E0CD539D3188EBE, 0x1EE4F17AA8FA589B, 0x1F77DD0FD6A99B4B, 0x204FF950AC8B6528,
    0x21BB0126B01C71B5, 0x232608FCB3AD7E42, 0x249110D2B73E8ACF, 0x25FC18A8BACF975C, 0x2767207EBE60A3E9,
    0x28D22854A1F1B076, 0x2A3D302AA582BD03, 0x2BA83800A913C990, 0x2D133FD6ACA4D61D, 0x2E7E47ACB035E2AA,
    0x2F5663ED8617AC87, 0x2FE94F82B3C6EF37, 0x30C16BC389A8B914, 0x322C73998D39C5A1, 0x33977B6F90CAD22E,
    0x35028345945BDEBB, 0x366D8B1B97ECEB48, 0x37D892F19B7DF7D5, 0x39439AC79F0F0462, 0x3AAEA29D82A010EF,
    0x3C19AA7386311D7C, 0x3D84B24989C22A09, 0x3E5CCE8A7FA3F3E6, 0x3EEFBA1F8D533696, 0x3FC7D66063350073,
    0x4132DE3666C60D00, 0x429DE60C6A57198D, 0x4408EDE26DE8261A, 0x4573F5B8717932A7, 0x46DEFD8E750A3F34,
    0x484A0564789B4BC1, 0x49B50D3A7C2C584E, 0x4B2015107FBD64DB, 0x4C8B1CE6634E7168, 0x4DF624BC66DF7DF5,
    0x4ECE40FD5CC147D2, 0x4F612C926A708A82, 0x503948D34052545F, 0x51A450A943E360EC, 0x530F587F47746D79,
    0x547A60554B057A06, 0x55E5682B4E968693, 0x5750700152279320, 0x58BB77D755B89FAD, 0x5A267FAD5949AC3A,
    0x5B9187835CDAB8C7, 0x5CFC8F59406BC554, 0x5E67972F43FCD1E1, 0x5F3FB37039DE9BBE, 0x5FD29F05478DDE6E,
    0x60AABB463D6FA84B, 0x6215C31C2100B4D8, 0x6380CAF22491C165, 0x64EBD2C82822CDF2, 0x6656DA9E2BB3DA7F,
    0x67C1E2742F44E70C, 0x692CEA4A32D5F399, 0x6A97F22036670026, 0x6C02F9F639F80CB3, 0x6D6E01CC3D891940,
    0x6E461E0D136AE31D, 0x6ED909A2211A25CD, 0x6FB125E316FBEFAA, 0x711C2DB91A8CFC37, 0x7287358F1E1E08C4,
    0x73F23D6501AF1551, 0x755D453B054021DE, 0x76C84D1108D12E6B, 0x783354E70C623AF8, 0x799E5CBD0FF34785,
    0x7B09649313845412, 0x7C746C691715609F, 0x7DDF743F1AA66D2C, 0x7EB7907FF0883709, 0x7F4A7C151E3779B9,
    0x80007FF610000000, 0x80007FF610000140, 0x80007FF610000500, 0x80007FF610000B40, 0x80007FF610001400,
    0x80007FF610001F40, 0x80007FF610002D00, 0x80007FF610003D40, 0x80007FF610005000, 0x80007FF610006540,
    0x80007FF610007D00, 0x80007FF610009740, 0x80007FF61000B400, 0x80007FF61000D340, 0x80007FF61000F500,
    0x80007FF610011940, 0x80007FF610014000, 0x80007FF610016940, 0x80007FF610019500, 0x80007FF61001C340,
    0x80229855F4194396, 0x818DA02BF7AA5023, 0x82F8A801FB3B5CB0, 0x8463AFD7FECC693D, 0x85CEB7ADE25D75CA,
    0x8739BF83E5EE8257, 0x88A4C759E97F8EE4, 0x8A0FCF2FED109B71, 0x8B7AD705F0A1A7FE, 0x8CE5DEDBF432B48B,
    0x8E50E6B1F7C3C118, 0x8F2902F2CDA58AF5, 0x8FBBEE87FB54CDA5, 0x90940AC8D1369782, 0x91FF129ED4C7A40F,
    0x936A1A74D858B09C, 0x94D5224ADBE9BD29, 0x96402A20DF7AC9B6, 0x97AB31F6C30BD643, 0x991639CCC69CE2D0,
    0x9A8141A2CA2DEF5D, 0x9BEC4978CDBEFBEA, 0x9D57514ED1500877, 0x9EC25924D4E11504, 0x9F9A7565AAC2DEE1,
    0xA1057D3BAE53EB6E, 0xA2708511B1E4F7FB, 0xA3DB8CE7B5760488, 0xA54694BDB9071115, 0xA6B19C93BC981DA2,
    0xA81CA469A0292A2F, 0xA987AC3FA3BA36BC, 0xAAF2B415A74B4349, 0xAC5DBBEBAADC4FD6, 0xADC8C3C1AE6D5C63,
    0xAEA0E002844F2640, 0xAF33CB97B1FE68F0, 0xB00BE7D887E032CD, 0xB176EFAE8B713F5A, 0xB2E1F7848F024BE7,
    0xB44CFF5A92935874, 0xB5B8073096246501, 0xB7230F0699B5718E, 0xB88E16DC9D467E1B, 0xB9F91EB280D78AA8,
    0xBB64268884689735, 0xBCCF2E5E87F9A3C2, 0xBE3A36348B8AB04F, 0xBF125275616C7A2C, 0xBFA53E0A8F1BBCDC,
    0xC07D5A4B64FD86B9, 0xC1E86221688E9346, 0xC35369F76C1F9FD3, 0xC4BE71CD6FB0AC60, 0xC62979A37341B8ED,
    0xC794817976D2C57A, 0xC8FF894F7A63D207, 0xCA6A91257DF4DE94, 0xCBD598FB6185EB21, 0xCD40A0D16516F7AE,
    0xCEABA8A768A8043B, 0xCF83C4E85E89CE18, 0xD0EECCBE421ADAA5, 0xD259D49445ABE732, 0xD3C4DC6A493CF3BF,
    0xD52FE4404CCE004C, 0xD69AEC16505F0CD9, 0xD805F3EC53F01966, 0xD970FBC2578125F3, 0xDADC03985B123280,
    0xDC470B6E5EA33F0D, 0xDDB2134442344B9A, 0xDE8A2F8538161577, 0xDF1D1B1A45C55827, 0xDFF5375B3BA72204,
    0xE1603F313F382E91, 0xE2CB470722C93B1E, 0xE4364EDD265A47AB, 0xE5A156B329EB5438, 0xE70C5E892D7C60C5,
    0xE877665F310D6D52, 0xE9E26E35349E79DF, 0xEB4D760B382F866C, 0xECB87DE13BC092F9, 0xEE2385B73F519F86,
    0xEEFBA1F815336963, 0xEF8E8D8D22E2AC13, 0xF066A9CE18C475F0, 0xF1D1B1A41C55827D, 0xF33CB97A1FE68F0A,
    0xF4A7C15003779B97, 0xF612C9260708A824, 0xF77DD0FC0A99B4B1, 0xF8E8D8D20E2AC13E, 0xFA53E0A811BBCDCB,
    0xFBBEE87E154CDA58, 0xFD29F05418DDE6E5, 0xFE94F82A1C6EF372, 0xFF6D146AF250BD4F, 0xFFFFFFFFFFFFFFFF,
};

constexpr addresses::key_type foreign_key(std::size_t i)
{
    return static_cast<addresses::key_type>(foreign_words[i]);
}

/* Which of them pass: a fingerprint lets some through. */
constexpr bool passes[281] = {
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false,
};

/* A member is found when this is compiled. */
static_assert(addresses::contains(addresses_test::member_key(0)), "the first key is in the set");
static_assert(addresses::value_of_member(addresses_test::member_key(0)) == values[0], "the first key has its value");

inline int wrong(const char *what, std::size_t i)
{
    std::fprintf(stderr, "addresses: key %lu of the test: %s\n", static_cast<unsigned long>(i), what);
    return 1;
}

} // namespace addresses_test

int main()
{
    for (std::size_t i = 0; i < 20; ++i) {
        const auto key = addresses_test::member_key(i);
        if (!addresses::contains(key)) {
            return addresses_test::wrong("taken for a foreign key", i);
        }
        if (!addresses_test::is_value(addresses::value_of_member(key), i)) {
            return addresses_test::wrong("another value", i);
        }
        const auto value = addresses::find_value(key);
        if (!value || !addresses_test::is_value(*value, i)) {
            return addresses_test::wrong("no value, or another one", i);
        }
    }
    for (std::size_t i = 0; i < 281; ++i) {
        const auto key = addresses_test::foreign_key(i);
        if (addresses::contains(key) != addresses_test::passes[i]) {
            return addresses_test::wrong("a foreign key gets another answer", i);
        }
    }
    return 0;
}
