import { addSources, drag, NAMES, separate, siSdr, stems, test, truth } from "./studio.mjs";
import { Robot } from "./robot.mjs";
for (const [rounds, dom, cold, perRound] of [[4,.9,false,2],[8,.9,false,1],[4,.8,false,2],[8,.8,false,1]]) test(`v ${rounds} ${dom} ${cold}`, async ({ studio: page }) => {
  await addSources(page); await separate(page); await page.keyboard.press("r"); const robot=new Robot(truth); robot.dom=dom; let now=await stems(page);
  for (let r=0;r<rounds;r++){ for(const name of NAMES) for(const box of robot.boxes(name, now, perRound)){ await page.keyboard.press(String(1+NAMES.indexOf(name))); await drag(page,[box.t[0],box.hz[1]],[box.t[1],box.hz[0]],4);} await separate(page, ()=>page.keyboard.press(cold&&r===0?"Shift+Enter":"Enter")); now=await stems(page);} 
  const s=NAMES.map(n=>siSdr(truth[n],now[n])); console.log(rounds,dom,cold,perRound,s.map(x=>x.toFixed(2)).join(' '),'mean',(s.reduce((a,b)=>a+b)/3).toFixed(2)); });
